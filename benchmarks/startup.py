"""How long a start takes: `import sr3mini` over `import torch`, and the command line's
first word, each in a fresh process, turn by turn.

    python benchmarks/startup.py [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from train_step import alternate

from sr3mini.training.monitor import machine

PROGRAMS = {
    "python": ["-c", "pass"],
    "import torch": ["-c", "import torch"],
    "import sr3mini": ["-c", "import sr3mini"],
    "sr3mini --help": ["-m", "sr3mini", "--help"],
    "sr3mini plan --help": ["-m", "sr3mini", "plan", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    taken = alternate(
        {
            name: partial(
                subprocess.run, [sys.executable, *rest], check=True, capture_output=True
            )
            for name, rest in PROGRAMS.items()
        },
        options.rounds,
    )
    result = {
        **{"machine": machine(), "torch": torch.__version__},
        "seconds": {
            name: round(statistics.median(each), 3) for name, each in taken.items()
        },
        "over_import_torch": {
            name: round(
                statistics.median(
                    a / b for a, b in zip(each, taken["import torch"], strict=True)
                ),
                3,
            )
            for name, each in taken.items()
        },
    }
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
