"""Trainings of one and of two processes, each in a process of its own, away from
pytest: python tests/ranks.py PICTURES OUT.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch._dynamo  # imported once, here, and not in each process
from tiny import TINY
from torch import Tensor

from sr3mini.training import learn as algorithm
from sr3mini.training import train as room

FIFTY = dataclasses.replace(TINY, train_steps=50, blur=1.0, from_files=0.5)
FOUR = dataclasses.replace(TINY, train_steps=4)


def alone(work: Callable[[], object]) -> None:
    together(1, work)


def together(ranks: int, work: Callable[[], object]) -> None:
    """`work` in so many processes that know of each other, as a launcher would start
    them. All must end well.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(ranks):
        children.append(os.fork())
        if children[-1] == 0:
            if ranks > 1:
                numbers = {
                    "RANK": rank,
                    "LOCAL_RANK": rank,
                    "WORLD_SIZE": ranks,
                    "LOCAL_WORLD_SIZE": ranks,
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": port,
                }
                os.environ.update({name: str(value) for name, value in numbers.items()})
            status = 1
            try:
                work()
                status = 0
            except SystemExit as stop:
                status = stop.code if isinstance(stop.code, int) else 1
            except BaseException as error:
                print(
                    f"rank {rank}: {type(error).__name__}: {error}",
                    file=sys.stderr,
                    flush=True,
                )
            os._exit(status)
    if any(os.waitpid(child, 0)[1] for child in children):
        raise SystemExit("a process failed")


def terminated_at(step: int, rank: str) -> None:
    """Let the process of one rank, and only that one, get SIGTERM in the middle of a
    step.
    """
    real, calls = algorithm.denoising_loss, iter(range(10_000))

    def loss(*arguments: object) -> Tensor:
        if next(calls) == step and os.environ["RANK"] == rank:
            signal.raise_signal(signal.SIGTERM)
        return real(*arguments)  # type: ignore[arg-type]

    algorithm.denoising_loss = loss  # type: ignore[assignment]


def main(pictures: str, out: Path) -> None:
    torch.set_num_threads(1)  # threads do not survive a fork
    os.environ["OMP_NUM_THREADS"] = "1"
    warnings.simplefilter("error")
    train = functools.partial(
        room.train, data=pictures, progress=False, validate_every=25
    )
    alone(lambda: train(FIFTY, out / "one"))
    together(2, lambda: train(FIFTY, out / "two", micro_batches=2))

    def half() -> None:
        terminated_at(19, rank="1")
        train(FIFTY, out / "sharded", shard=True)

    together(2, half)
    (out / "sharded" / "metrics.jsonl").rename(out / "sharded_metrics.jsonl")
    alone(lambda: train(FIFTY, out / "sharded", resume=True))

    def compiled() -> None:
        warnings.simplefilter("ignore")  # the tracer's own deprecations
        torch.nn.Module.compile = functools.partialmethod(
            torch.nn.Module.compile, backend="aot_eager"
        )  # type: ignore[method-assign, assignment]
        train(FOUR, out / "compiled", compile=True)

    alone(lambda: train(FOUR, out / "four"))
    alone(compiled)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
