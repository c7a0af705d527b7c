"""More than one process: two do what one would, a sharded training goes on in one, a
killed one goes on, and the files for launchers are whole.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from project import ROOT

from sr3mini.model.checkpoint import load
from sr3mini.training.state import load_state, state_paths

LAUNCH = ROOT / "launch"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ranks")
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "tests" / "ranks.py",
            tiny.pictures(out / "pictures"),
            out,
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return out


def told(out: Path, name: str) -> dict[str, Any]:
    return load_state(state_paths(out / name / "state")[-1]).told


def test_check_10_two_processes_are_one_with_the_same_batch(trained: Path) -> None:
    """Losses of 50 steps to 1e-5, and what is measured on held-out pictures, which the
    two share.
    """
    one, two = told(trained, "one"), told(trained, "two")
    assert len(one["losses"]) == one["step"] == two["step"] == 50
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-5)
    # and something was learnt, so that a wrong step would show
    assert min(one["losses"]) < 0.8 * max(one["losses"])
    assert two["best"] == pytest.approx(one["best"], abs=1e-3)
    looked = [
        [
            line["PSNR"]
            for line in lines(trained / name / "metrics.jsonl")
            if "PSNR" in line
        ]
        for name in ("one", "two")
    ]
    assert len(looked[0]) == 2
    assert looked[1] == pytest.approx(looked[0], abs=1e-3)


def test_check_10_a_sharded_training_ended_by_one_process_goes_on_in_a_single_one(
    trained: Path,
) -> None:
    """SIGTERM reached the second of two processes in step 20: both left with 0 after
    it. One alone did the rest.
    """
    assert told(trained, "sharded")["losses"] == pytest.approx(
        told(trained, "one")["losses"], abs=1e-5
    )
    assert [line["step"] for line in lines(trained / "sharded_metrics.jsonl")] == [20]
    # losses at 40 and at the end, looks at 25 and 50
    assert [line["step"] for line in lines(trained / "sharded" / "metrics.jsonl")] == [
        25,
        40,
        50,
        50,
    ]
    assert told(trained, "sharded")["step"] == 50
    a, b = load(trained / "one"), load(trained / "sharded")
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=2e-3)


def test_compiled_training_is_the_same_training(trained: Path) -> None:
    """With torch's tracer, but with eager kernels behind it, which need no C++
    compiler.
    """
    compiled = told(trained, "compiled")
    assert compiled["losses"] == pytest.approx(
        told(trained, "four")["losses"], abs=1e-5
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_five_kills_change_nothing() -> None:
    """kill -9 at random moments, while states are written too; benchmarks/kills.py does
    50 in the same way.
    """
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "kills.py", "--kills", "5"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["kills"] == 5
    assert figures["bit by bit the same"] is True


# Files for launchers ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["accelerate_ddp.yaml", "accelerate_fsdp.yaml"])
def test_accelerate_knows_every_key(name: str) -> None:
    # raises on a key that it does not know
    config = load_config_from_file(str(LAUNCH / name))
    written = yaml.safe_load((LAUNCH / name).read_text(encoding="utf-8"))
    assert config.num_processes == written["num_processes"]
    assert str(config.distributed_type).endswith(
        {"accelerate_ddp.yaml": "MULTI_GPU", "accelerate_fsdp.yaml": "FSDP"}[name]
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_slurm_script_is_bash_and_asks_for_what_it_needs() -> None:
    script = LAUNCH / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text(encoding="utf-8")
    assert all(
        option in text
        for option in (
            "#SBATCH --requeue",
            "#SBATCH --signal=TERM@",
            "--resume",
            "scontrol requeue",
        )
    )
