r"""The race: the same pictures, the same minutes, the same core, three recipes.

    python benchmarks/race.py [--sets glyphs DIR] [--recipes ours public diffusers]
        [--seeds 0] [--minutes 2] [--json FILE]

    python benchmarks/race.py --sets glyphs clothing --seeds 0 1 2 --minutes 10 \
        --json data/runs/race.json

The second is the whole race, four hours on one core.

ours        `learn`, as `sr3mini train` runs it, with the preset of the set: for a
            folder that `sr3mini prepare` wrote photos_16_64, for glyphs glyphs_8_32
            with the head start and the weighting of levels of dive I. Photographs are
            not zoomed; `from_files` and `worn` act, though all is measured on exact x
public      the best-known public SR3 code, written anew: its U-Net, L1, one t a batch,
            told sqrt(gamma), Adam at 1e-4 for ever, batches of 4, no EMA, no warm-up;
            it draws with all T = 2000 calls of its training schedule
diffusers   its UNet2DModel with x concatenated, trained as its example for images
            without a condition does: t of 1000, MSE, AdamW, batches of 16, 500 steps of
            warm-up and a cosine to the end, EMA; it draws with its DDPMScheduler's 1000

The layouts are those of their makers, made narrower until a picture costs about the
FLOPs that it costs in ours, of photographs up to 1.5 times. The clock is the processor
time of training, on one thread: other programs on the machine do not count, nor does
measuring. Schedules of the learning rate end with the time. Ours is also told to end
after one minute, and after two.

At every check the networks draw the same held-out pictures, from the same noise, by the
same method with 8 calls: this compares trainings. At the end each also draws `OWN` of
them as its own makers do. A training takes its minutes and its result is stored when it
ends; those that are stored are not run again. At the end: a table of medians, stored
too.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from train_step import accelerated

from sr3mini import NoiseSchedule, denoising_loss, downsample, upsample
from sr3mini.data import Batches, batches, open_pictures
from sr3mini.evaluation.samples import held_out
from sr3mini.files.writing import write_text
from sr3mini.forward import diffuse
from sr3mini.metrics import measure, sharpness
from sr3mini.model.memory import keep_freed_memory
from sr3mini.model.network import build
from sr3mini.model.preset import Preset
from sr3mini.model.presets import PRESETS
from sr3mini.sampler import edge_distance
from sr3mini.schedule import log_snr
from sr3mini.training.learn import learn
from sr3mini.training.learner import averaged_network, set_up
from sr3mini.training.monitor import machine
from sr3mini.upscaling.draw import answer, seeded

CHECKS = (0.5, 1.0, 2.0, 5.0, 10.0)  # minutes
SHORT = (1.0, 2.0)  # after which ours is told to end, in trainings of their own
TOGETHER = 10  # steps between two looks at the clock
OWN = 8  # pictures that are drawn as the recipe's makers do
BATCH = 16  # pictures that are drawn together
OWN_WAY = ("calls", "seconds")  # a picture, where drawn as its makers do
TABLE = ("PSNR", "SSIM", "consistency", "sharpness", "edge distance")

Found = dict[str, Any]


@dataclass(frozen=True)
class Contest:
    """A set of pictures, and how wide each network is. `count`: pictures held out."""

    ours: Preset
    public: Preset
    diffusers: tuple[int, tuple[int, ...]]  # channels, multipliers
    count: int


def public_preset(ours: Preset, channels: int, multipliers: Sequence[int]) -> Preset:
    """The layout of the best-known public code, attending at 16 pixels a side."""
    attended = int(math.log2(ours.size / 16))
    return replace(
        ours,
        name="public",
        layout="ddpm",
        detail=0.0,
        weighting=1.0,
        from_files=0.0,
        channels=channels,
        multipliers=tuple(multipliers),
        blocks=2,
        attention=(attended,),
        groups=channels // 2,
        loss_power=1,
        batch_size=4,
        learning_rate=1e-4,
    )


PHOTOS = PRESETS["photos_16_64"]
# detail: measured, the deviation of y - U x
GLYPHS = replace(PRESETS["glyphs_8_32"], detail=0.33, weighting=20.0)
CONTESTS = {
    "glyphs": Contest(
        GLYPHS, public_preset(GLYPHS, 12, (1, 2, 4, 8)), (24, (1, 1, 2, 2)), 128
    ),
    "photos": Contest(
        PHOTOS, public_preset(PHOTOS, 12, (1, 2, 4, 8, 8)), (24, (1, 1, 2, 2, 4)), 64
    ),
}


def contest_of(data: str) -> Contest:
    return CONTESTS["glyphs" if data == "glyphs" else "photos"]


class Ours:
    """The package's own training."""

    def __init__(self, contest: Contest, y: Batches, seed: int) -> None:
        torch.manual_seed(seed)
        self.y, self.seed, self.done = y, seed, 0
        self.learner = set_up(contest.ours, accelerated())

    def train(self, steps: int, total: int) -> None:
        """So many steps of `total`, where the learning rate has come to nothing."""
        preset = replace(self.learner.preset, train_steps=max(1, total))
        learner = self.learner._replace(preset=preset)
        learning = learn(learner, self.y, seed=self.seed, start=self.done)
        for _ in itertools.islice(learning, steps):
            self.done += 1

    def f(self) -> nn.Module:
        return averaged_network(self.learner)

    def own(self, x: Tensor, preset: Preset) -> tuple[int, Tensor]:
        """Calls, and a picture for each x as a user of this recipe draws it."""
        return preset.sampling_steps, drawn(self.f(), preset, x)


class Public:
    """The recipe of the best-known public SR3 code."""

    def __init__(self, contest: Contest, y: Batches, seed: int) -> None:
        torch.manual_seed(seed)
        self.preset, self.y = contest.public, y
        self.network = build(contest.public)
        self.schedule = contest.public.training_schedule()
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-4)

    def train(self, steps: int, total: int) -> None:
        for y_0 in itertools.islice(self.y, steps):
            x = downsample(y_0, self.preset.factor)
            gamma = one_t_a_batch(self.schedule, len(y_0))
            eps = torch.randn_like(y_0)
            loss = denoising_loss(self.network, x, y_0, gamma, eps, p=1)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def f(self) -> nn.Module:
        return self.network.eval()

    def own(self, x: Tensor, preset: Preset) -> tuple[int, Tensor]:
        calls = self.schedule.steps
        changed = preset.sampled(calls, "ancestral")
        return calls, drawn(self.f(), changed, x)


def one_t_a_batch(schedule: NoiseSchedule, count: int) -> Tensor:
    """gamma (count,): one t for all, then sqrt(gamma) uniform between its two."""
    t = int(torch.randint(1, schedule.steps + 1, ()))
    before, at = schedule.gammas[t - 1].sqrt(), schedule.gammas[t].sqrt()
    return (at + torch.rand(count, dtype=torch.float64) * (before - at)).square()


class Theirs(nn.Module):
    """diffusers' U-Net as an f(x, y_t, gamma), for any gamma between its levels."""

    def __init__(self, preset: Preset, width: int, multipliers: Sequence[int]) -> None:
        super().__init__()
        from diffusers import DDPMScheduler, UNet2DModel

        plain, last = ["DownBlock2D"] * len(multipliers), len(multipliers) - 1
        ups = ["UpBlock2D"] * len(multipliers)
        plain[last - 1], ups[1] = "AttnDownBlock2D", "AttnUpBlock2D"
        channels = preset.image_channels
        self.unet: Any = UNet2DModel(
            sample_size=preset.size,
            in_channels=2 * channels,
            out_channels=channels,
            layers_per_block=2,
            block_out_channels=tuple(width * each for each in multipliers),
            down_block_types=tuple(plain),
            up_block_types=tuple(ups),
            norm_num_groups=4,
        )
        scheduler: Any = DDPMScheduler()
        self.scheduler = scheduler
        self.levels = log_snr(scheduler.alphas_cumprod.double()).numpy()

    def at(self, x: Tensor, y_t: Tensor, t: Tensor) -> Tensor:
        both = torch.cat([upsample(x, size=(y_t.shape[-2], y_t.shape[-1])), y_t], dim=1)
        return self.unet(both, t, return_dict=False)[0]

    def forward(self, x: Tensor, y_t: Tensor, gamma: Tensor) -> Tensor:
        steps = np.arange(len(self.levels), dtype=float)
        levels = log_snr(gamma.double()).numpy()
        t = np.interp(levels, self.levels[::-1], steps[::-1])
        return self.at(x, y_t, torch.from_numpy(t).to(y_t))


class Diffusers:
    """The recipe of diffusers' example."""

    def __init__(self, contest: Contest, y: Batches, seed: int) -> None:
        from diffusers.training_utils import EMAModel

        torch.manual_seed(seed)
        self.y, self.done, self.factor = y, 0, contest.ours.factor
        self.network = Theirs(contest.ours, *contest.diffusers)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), 1e-4, betas=(0.95, 0.999), weight_decay=1e-6
        )
        self.average: Any = EMAModel(
            self.network.parameters(), 0.9999, use_ema_warmup=True, power=0.75
        )

    def train(self, steps: int, total: int) -> None:
        gammas = self.network.scheduler.alphas_cumprod
        for y_0 in itertools.islice(self.y, steps):
            x, eps = downsample(y_0, self.factor), torch.randn_like(y_0)
            t = torch.randint(len(gammas), (len(y_0),))
            y_t = diffuse(y_0, gammas[t], eps)
            loss = (self.network.at(x, y_t, t) - eps).square().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.param_groups[0]["lr"] = 1e-4 * share(self.done, total)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.average.step(self.network.parameters())
            self.done += 1

    def f(self) -> nn.Module:
        averaged = copy.deepcopy(self.network)
        self.average.copy_to(averaged.parameters())
        return averaged.eval()

    @torch.inference_mode()
    def own(self, x: Tensor, preset: Preset) -> tuple[int, Tensor]:
        f, generator = self.f(), torch.Generator().manual_seed(0)
        assert isinstance(f, Theirs)
        f.scheduler.set_timesteps(len(f.levels))
        y = torch.randn(shape_of(x, preset), generator=generator)
        for t in f.scheduler.timesteps:
            y = f.scheduler.step(f.at(x, y, t), t, y, generator=generator).prev_sample
        return len(f.levels), y.clamp(-1, 1)


def share(step: int, total: int, warmup: int = 500) -> float:
    """Of the learning rate: linear warm-up, then half a cosine down to 0."""
    if step < warmup:
        return step / warmup
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return 0.5 * (1 + math.cos(math.pi * done))


RECIPES: dict[str, Any] = {"ours": Ours, "public": Public, "diffusers": Diffusers}


def shape_of(x: Tensor, preset: Preset) -> tuple[int, ...]:
    return (*x.shape[:2], preset.size, preset.size)


def drawn(f: nn.Module, preset: Preset, x: Tensor) -> Tensor:
    """A picture for each x, from noise of its own, in batches that fit a laptop."""
    parts = []
    for rows in torch.arange(len(x)).split(BATCH):
        shape = shape_of(x[rows], preset)
        parts.append(answer(f, preset, x[rows], shape, seeded(rows.tolist())))
    return torch.cat(parts)


def figures(made: Tensor, y: Tensor, x: Tensor) -> dict[str, float]:
    """Every measure of the pictures `made`."""
    found = measure(made, y, x) | {"sharpness": sharpness(made).mean().item()}
    found["edge distance"] = edge_distance(made, y)
    return {name: round(value, 5) for name, value in found.items()}


def cost(f: nn.Module, preset: Preset) -> dict[str, float]:
    """Of one picture in one call, and how many numbers the network has."""
    small = preset.size // preset.factor
    x = torch.zeros(1, preset.image_channels, small, small)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        f(x, torch.zeros(shape_of(x, preset)), torch.full((1,), 0.5))
    flops = counter.get_total_flops() / 1e6
    parameters = sum(p.numel() for p in f.parameters())
    return {"MFLOPs": round(flops, 1), "parameters": parameters}


def timed(
    recipe: Any,
    minutes: float,
    checks: Sequence[float],
    look: Callable[[float, int], None],
) -> int:
    """Train for so many minutes of processor time, and look at each check; how many
    steps it was.
    """
    due, used, steps = list(checks), 0.0, 0
    while used < 60 * minutes:
        total = round(steps * 60 * minutes / used) if used else 10_000
        start = time.process_time()
        recipe.train(TOGETHER, total)
        used, steps = used + time.process_time() - start, steps + TOGETHER
        while due and used >= 60 * due[0]:
            look(due.pop(0), steps)
    return steps


def measured_on(contest: Contest, data: str) -> tuple[Tensor, Tensor]:
    """x and y of the held-out pictures that every recipe is measured on."""
    y = held_out(data, build(contest.ours), contest.count)[0]
    return downsample(y, contest.ours.factor), y


def bicubic(contest: Contest, data: str) -> dict[str, dict[str, float]]:
    """What U x has on all of them, and on those drawn in a recipe's own way."""
    x, y = measured_on(contest, data)
    enlarged = upsample(x, contest.ours.factor).clamp(-1, 1)
    return {
        "all": figures(enlarged, y, x),
        "own": figures(enlarged[:OWN], y[:OWN], x[:OWN]),
    }


def run(contest: Contest, name: str, data: str, seed: int, minutes: float) -> Found:
    """One training, looked at on its way and at its end."""
    ours, kind = contest.ours, RECIPES[name]
    batch = {"ours": ours.batch_size, "public": 4, "diffusers": 16}[name]
    pictures = open_pictures(data, ours.size, ours.image_channels, "train")
    x, y = measured_on(contest, data)
    eight = ours.sampled(method="multistep")
    recipe, looks = kind(contest, batches(pictures, batch, seed=seed), seed), []

    def look(minute: float, steps: int) -> None:
        found = figures(drawn(recipe.f(), eight, x), y, x)
        looks.append({"minutes": minute, "steps": steps, **found})
        print(data, name, seed, minutes, json.dumps(looks[-1]), flush=True)

    steps = timed(recipe, minutes, [each for each in CHECKS if each <= minutes], look)
    start = time.process_time()
    calls, made = recipe.own(x[:OWN], eight)
    seconds = (time.process_time() - start) / len(made)
    return {
        "recipe": name,
        "seed": seed,
        "minutes": minutes,
        "batch": batch,
        "steps": steps,
        **cost(recipe.f(), ours),
        "looks": looks,
        "own": {
            "calls": calls,
            "pictures": len(made),
            "seconds": round(seconds, 3),
            **figures(made, y[:OWN], x[:OWN]),
        },
        "originals": {"sharpness": round(sharpness(y).mean().item(), 5)},
    }


def plan(
    sets: Sequence[str], recipes: Sequence[str], seeds: Sequence[int], minutes: float
) -> list[tuple[str, str, int, float]]:
    """(set, recipe, seed, minutes) of every training, seed by seed."""
    return [
        (data, recipe, seed, each)
        for seed in seeds
        for data in sets
        for recipe in recipes
        for each in (minutes, *SHORT)
        if each == minutes or (recipe == "ours" and each < minutes)
    ]


def stored(path: Path | None) -> Found:
    """What was measured already."""
    if path is not None and path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    about = {"command": " ".join(["python", *sys.argv]), "machine": machine()}
    return {**about, "torch": torch.__version__, "runs": []}


def key(found: Found) -> tuple[str, str, int, float]:
    return found["set"], found["recipe"], found["seed"], found["minutes"]


def medians(runs: Sequence[Found]) -> list[Found]:
    """A row for each set, recipe, time it was told, and look, over seeds; and one, with
    `own`, for what its makers' way of drawing gives in the end.
    """
    rows: dict[tuple[Any, ...], list[Found]] = {}
    for each in runs:
        head = each["set"], each["recipe"], each["minutes"]
        for look in each["looks"]:
            rows.setdefault((*head, look["minutes"], False), []).append(look)
        rows.setdefault((*head, each["minutes"], True), []).append(each["own"])
    names = ("set", "recipe", "told", "minutes", "own")
    return [
        {
            **dict(zip(names, head, strict=True)),
            "seeds": len(found),
            **{
                name: round(statistics.median(each[name] for each in found), 5)
                for name in (*TABLE, *(OWN_WAY if head[-1] else ()))
            },
        }
        for head, found in sorted(rows.items())
    ]


def overtaken(rows: Sequence[Found]) -> list[Found]:
    """After how many minutes ours has the PSNR that each rival ends with, both drawn
    with 8 calls, or each in its own way; a training that was told to end at a look
    counts where it is better.
    """
    found = []
    for rival in rows:
        if rival["recipe"] == "ours" or rival["minutes"] < rival["told"]:
            continue
        points: dict[float, float] = {}
        for row in rows:
            alike = all(row[name] == rival[name] for name in ("set", "own"))
            if row["recipe"] == "ours" and alike:
                at = row["minutes"]
                points[at] = max(row["PSNR"], points.get(at, -math.inf))
        minutes = minutes_to(rival["PSNR"], [*points.items()])
        head = {name: rival[name] for name in ("set", "recipe", "told", "own", "PSNR")}
        found.append(head | {"ours after minutes": minutes})
    return found


def minutes_to(psnr: float, points: Sequence[tuple[float, float]]) -> float | None:
    """When a PSNR was reached by (minutes, PSNR), on straight lines over the logarithm
    of the time between them; None if never. At the first point or before it: its time.
    """
    before: tuple[float, float] | None = None
    for at, reached in sorted(points):
        if reached >= psnr:
            if before is None:
                return at
            part = (psnr - before[1]) / (reached - before[1])
            return before[0] * (at / before[0]) ** part
        before = at, reached
    return None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=["glyphs"])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # for all three

    result = stored(given.json)
    for data, recipe, seed, minutes in plan(
        given.sets, given.recipes, given.seeds, given.minutes
    ):
        name = Path(data).name
        if (name, recipe, seed, minutes) in map(key, stored(given.json)["runs"]):
            continue
        found = {"set": name, **run(contest_of(data), recipe, data, seed, minutes)}
        result = stored(given.json) if given.json else result  # others may write too
        result["runs"].append(found)
        if given.json:
            write_text(json.dumps(result, indent=1) + "\n", given.json)
    result = stored(given.json) if given.json else result
    rows = medians(result["runs"])
    told: Found = {"medians": rows, "overtaken": overtaken(rows)}
    told["bicubic"] = {
        Path(data).name: bicubic(contest_of(data), data) for data in given.sets
    }
    if given.json:
        write_text(json.dumps(result | told, indent=1) + "\n", given.json)
    for row in (*rows, *told["overtaken"]):
        print("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
