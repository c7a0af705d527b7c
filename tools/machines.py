"""Runs the chapters on machines that are not at hand, as far as they can be imitated.

    python tools/machines.py                     all chapters, on every machine
    python tools/machines.py sse4 home           on these two
    python tools/machines.py --chapters 03 07    chapters whose names start like this
    python tools/machines.py --list              the machines, and what they are like

`pytest --nbval` compares what every cell prints with what is stored. A table at the end
says what failed where, and why; the exit status is 1 if anything did. Two chapters run
side by side where pytest-xdist is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = ROOT / "chapters"
JAPANESE = "ja_JP.UTF-8"


class Machine(NamedTuple):
    """What it is like, and the environment variables that make it so; None unsets one.

    `{scratch}` in a value stands for the folder that `furnish` fills.
    """

    what: str
    environment: dict[str, str | None]
    elsewhere: bool = False  # pytest is started in another folder than the clone


class Failure(NamedTuple):
    cell: str  # 08_measuring, cell 17
    reason: str


class Result(NamedTuple):
    seconds: float
    passed: int
    failures: list[Failure]


# -- the machines


def instructions(
    aten: str, onednn: str, mkl: str, openblas: str
) -> dict[str, str | None]:
    """The vector instructions that the libraries below torch and NumPy may use."""
    return {
        "ATEN_CPU_CAPABILITY": aten,
        "ONEDNN_MAX_CPU_ISA": onednn,
        "MKL_ENABLE_INSTRUCTIONS": mkl,
        "OPENBLAS_CORETYPE": openblas,
    }


def threads(number: int) -> dict[str, str | None]:
    """As many in each process. Idle ones sleep, since there may be more than cores."""
    return {
        "OMP_NUM_THREADS": str(number),
        "MKL_NUM_THREADS": str(number),
        "OMP_WAIT_POLICY": "passive",
    }


def language(name: str) -> dict[str, str | None]:
    return {"LANG": name, "LC_ALL": name, "LOCPATH": "{scratch}/locales"}


def unusable_home() -> dict[str, str | None]:
    """Not even root can make a folder below a file, nor is there a way around it."""
    around = ("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    return {
        "HOME": "{scratch}/file/home",
        "JUPYTER_RUNTIME_DIR": "{scratch}/runtime",  # for pytest, which starts kernels
        **dict.fromkeys(around),
    }


MACHINES = {
    "own": Machine(
        "the processor's own instructions, 2 threads, MPLBACKEND unset",
        {**threads(2), "MPLBACKEND": None},
    ),
    "sse4": Machine(
        "no vector instructions beyond SSE4, 1 thread, LANG=C",
        {
            **instructions("default", "SSE41", "SSE4_2", "Nehalem"),
            **threads(1),
            **language("C"),
        },
    ),
    "avx2": Machine(
        f"no vector instructions beyond AVX2, 4 threads, LANG={JAPANESE}",
        {
            **instructions("avx2", "AVX2", "AVX2", "Haswell"),
            **threads(4),
            **language(JAPANESE),
        },
    ),
    "mkldnn": Machine(
        "torch.backends.mkldnn off, 2 threads, MPLBACKEND=agg",
        {**threads(2), "IPYTHONDIR": "{scratch}/ipython", "MPLBACKEND": "agg"},
    ),
    "home": Machine(
        "a home folder that cannot be written, 1 thread, started in another folder",
        {**threads(1), **unusable_home()},
        elsewhere=True,
    ),
}


def furnish(scratch: Path) -> None:
    """Put what the machines' variables point to into a temporary folder."""
    (scratch / "file").touch()
    startup = scratch / "ipython" / "profile_default" / "startup" / "mkldnn.py"
    startup.parent.mkdir(parents=True)
    startup.write_text("__import__('torch').backends.mkldnn.enabled = False\n")

    made = scratch / "locales" / JAPANESE
    made.parent.mkdir()
    command = ["localedef", "-i", "ja_JP", "-f", "UTF-8", str(made)]
    with contextlib.suppress(FileNotFoundError):
        subprocess.run(command, capture_output=True)
    if not made.exists():
        print(f"localedef cannot make {JAPANESE} here, so avx2 falls back to LANG=C")


def environment(machine: Machine, scratch: Path) -> dict[str, str]:
    """The variables of this process, with those of the machine in their place."""
    kept = os.environ.keys() - machine.environment.keys()
    own = {name: os.environ[name] for name in kept}
    for name, value in machine.environment.items():
        if value is not None:
            own[name] = value.format(scratch=scratch)
    return own


# -- running the chapters on one


def run(name: str, notebooks: list[Path], scratch: Path) -> Result:
    """All cells of the notebooks on one machine; pytest shows how far it is."""
    machine, report = MACHINES[name], scratch / f"{name}.xml"
    flags = ["--nbval", "-q", "--tb=no", "-rN", "--color=no", "-p", "no:cacheprovider"]
    several = len(notebooks) > 1 or notebooks[0].is_dir()
    if several and importlib.util.find_spec("xdist"):
        flags += ["-n", "2", "--dist", "loadfile"]
    paths = [str(path) for path in notebooks]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, f"--junitxml={report}", *paths],
        cwd=scratch if machine.elsewhere else ROOT,
        env=environment(machine, scratch),
    )
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 1) or not report.exists():
        failure = Failure("pytest", f"ended with status {done.returncode}")
        return Result(seconds, 0, [failure])
    return Result(seconds, *outcomes(report))


def outcomes(report: Path) -> tuple[int, list[Failure]]:
    """How many cells passed, and those that failed, from pytest's report in XML."""
    cells = list(ET.parse(report).iter("testcase"))
    failures = []
    for cell in cells:
        found = cell.find("failure")
        if found is None:
            found = cell.find("error")
        if found is not None:
            chapter = cell.get("classname", "").removesuffix(".ipynb").split(".")[-1]
            place = f"{chapter}, {cell.get('name', '').lower()}"
            failures.append(Failure(place, reason(found.text or "")))
    return len(cells) - len(failures), failures


def reason(report: str) -> str:
    """What nbval's report says to differ, or the exception that it ends with."""
    plain = re.sub(r"(\x1b|#x1B)\[[\d;]*m", "", report)
    told = plain.split("\nTraceback:\n")[-1].strip()
    if "Cell outputs differ" in plain:
        return told.split(" mismatch '")[0].strip()
    return told.splitlines()[-1] if told else "no reason is given"


# -- the command


def table(results: dict[str, Result]) -> str:
    """A row for each machine, and below them what failed."""
    row = "{:8} {:>7} {:>7} {:>7}".format
    lines = [row("machine", "seconds", "passed", "failed")]
    for name, (seconds, passed, failures) in results.items():
        lines.append(row(name, f"{seconds:.0f}", passed, len(failures)))
    for name, result in results.items():
        for cell, why in result.failures:
            lines.append(f"{name}: {cell}: " + "; ".join(why.splitlines()))
    return "\n".join(lines)


def chosen(starts: list[str]) -> list[Path]:
    """The notebooks whose names start so, or the whole folder for no names."""
    if not starts:
        return [CHAPTERS]
    files = [*CHAPTERS.glob("*.ipynb"), *CHAPTERS.glob("deeper/*.ipynb")]
    found = sorted(path for path in files if path.name.startswith(tuple(starts)))
    if not found:
        raise SystemExit(f"no chapter's name starts with {' or '.join(starts)}")
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("machines", nargs="*", help=", ".join(MACHINES))
    parser.add_argument("--chapters", nargs="+", default=[], metavar="NN")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args(arguments)
    if given.list:
        for name, machine in MACHINES.items():
            print(f"{name:8} {machine.what}")
        return 0
    for name in given.machines:
        if name not in MACHINES:
            parser.error(f"there is no machine {name}; there are {', '.join(MACHINES)}")

    notebooks, results = chosen(given.chapters), {}
    with tempfile.TemporaryDirectory() as folder:
        furnish(Path(folder))
        for name in given.machines or MACHINES:
            print(f"== {name}: {MACHINES[name].what}", flush=True)
            results[name] = run(name, notebooks, Path(folder))
    print(f"\n{table(results)}")
    return 1 if any(result.failures for result in results.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
