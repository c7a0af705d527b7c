"""A thousand mutated files, each handed to the command that reads it.

    python -m tests.campaign --count 1000 --seed 0
    python -m tests.campaign --only 17 --keep DIR    one of them, and what it was given

Pictures, models, states, presets, checkpoints, configurations, shards and prepared
folders, cut, flipped, spliced, with the checksums of their format mended or not. Each
must end with status 0 and a right result, or with status 2 and one sentence: no
traceback, no stray line, no more than 10 seconds of processor time or 2 GB of memory,
nothing half-written. A case is a function of (seed, number).

The cases run in a worker process, which is started anew where one ends or hangs it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import re
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

SECONDS, GIGABYTES, PATIENCE = 10, 2, 900  # of the processor; of memory; by the clock
ALONE = 50  # one case in so many is a command of its own, as from a shell
PRESET = {
    **{"name": "tiny", "data": "folder", "size": 16, "factor": 4, "image_channels": 3},
    **{"channels": 8, "multipliers": [1, 2], "attention": [1], "groups": 4},
    **{"sampling_steps": 1, "train_steps": 2, "batch_size": 2, "warmup_steps": 1},
}


# Sound files --------------------------------------------------------------------------


def sound_files(place: Path) -> None:
    """One sound file of each kind, of which the others are made."""
    import numpy as np
    import pyarrow
    import pyarrow.parquet
    import tifffile
    import torch
    from PIL import Image

    from sr3mini.bridges.janspiry import export_checkpoint
    from sr3mini.model.checkpoint import save
    from sr3mini.model.network import build
    from sr3mini.model.preset import Preset

    numbers = np.random.default_rng(0).integers(0, 256, (12, 16, 4), np.uint8)
    smooth = np.linspace(0, 255, 16 * 12).reshape(12, 16)
    deep = (smooth * 257).astype(np.uint16)
    colour, grey = Image.fromarray(numbers[..., :3]), Image.fromarray(numbers[..., 0])
    clear = Image.fromarray(numbers)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    pictures = place / "pictures"
    pictures.mkdir(parents=True)
    for name, picture, options in (
        ("colour.png", colour, {"dpi": (72, 72)}),
        ("grey.png", grey, {}),
        ("clear.png", clear, {}),
        ("deep.png", Image.fromarray(deep), {}),
        ("palette.png", colour.quantize(8), {"transparency": 1}),
        ("bits.png", grey.convert("1"), {}),
        ("photo.jpg", colour, {"exif": exif}),
        ("progressive.jpg", grey, {"progressive": True}),
        ("print.jpg", colour.convert("CMYK"), {}),
        ("photo.webp", colour, {}),
        ("clear.webp", clear, {"lossless": True, "exif": exif}),
        ("colour.bmp", colour, {}),
        ("moving.gif", grey, {"save_all": True, "append_images": [grey, grey]}),
        ("packed.tif", colour, {"compression": "tiff_lzw"}),
        ("print.tif", colour.convert("CMYK"), {}),
        ("bits.tif", grey.convert("1"), {"compression": "group4"}),
        ("colour.ppm", colour, {}),
        ("grey.pgm", grey, {}),
        ("photo.jp2", colour, {}),
        ("icon.ico", clear, {}),
        ("old.tga", colour, {}),
    ):
        picture.save(pictures / name, **options)
    planes = np.stack([deep, deep[::-1], deep])
    for name, array, options in (
        ("deep.tif", deep, {}),
        ("deep colour.tif", planes.transpose(1, 2, 0).copy(), {"photometric": "rgb"}),
        (
            "planes.tif",
            planes,
            {"photometric": "rgb", "planarconfig": "separate"},
        ),
        ("fractions.tif", (smooth / 255).astype(np.float32), {}),
        ("bands.tif", np.dstack([deep] * 6), {"photometric": "minisblack"}),
    ):
        tifffile.imwrite(pictures / name, array, **options)

    folder = place / "folder"
    folder.mkdir()
    for number in range(6):
        colour.rotate(number * 50).resize((16, 16)).save(folder / f"{number}.png")
    preset = Preset.from_json(json.dumps(PRESET))
    (place / "preset.json").write_text(preset.to_json())
    torch.manual_seed(0)
    ddpm = build(dataclasses.replace(preset, layout="ddpm", channels=32, groups=32))
    export_checkpoint(ddpm, place / "t_gen.pth")
    (place / "model").mkdir()
    save(place / "model" / "model.safetensors", build(preset))
    (place / "model" / "model.json").write_text('{"steps": 2, "metrics": {}}')
    train = ["train", "--preset", place / "preset.json", "--data", folder]
    for arguments in (
        [*train, "--out", place / "run", "--save-every", "1"],
        ["prepare", folder, "--size", "16", "--out", place / "prepared", "--jobs", "1"],
    ):
        command = [sys.executable, "-m", "sr3mini", *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True)

    contents = [file.read_bytes() for file in sorted(folder.iterdir())] * 4
    with tarfile.open(place / "shard.tar", "w") as tar:
        for number, content in enumerate(contents):
            add(tar, f"{number}.png", content)
    rows = [{"bytes": content, "path": None} for content in contents]
    pyarrow.parquet.write_table(table(rows), place / "shard.parquet")


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def table(rows: list[Any]) -> Any:
    """Rows of pictures as `datasets` writes them to Parquet."""
    import pyarrow

    kind = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    told = {"info": {"features": {"image": {"_type": "Image"}}}}
    made = pyarrow.table({"image": pyarrow.array(rows, kind)})
    return made.replace_schema_metadata({"huggingface": json.dumps(told)})


# Mutations ----------------------------------------------------------------------------

EXTREMES = [
    bytes(4),
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\1\0",
]


def mutated(rng: Random, content: bytes) -> bytes:
    """Some bytes changed, lost, doubled or put in between; one to three times."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        length = max(1, len(content))
        # the beginning tells most
        place = rng.randrange(min(length, rng.choice((32, 256, length))))
        lost = rng.choice((1, 2, 4, 16, length // 4))
        middle = content[place : place + lost]
        put, lost = rng.choice(
            [
                (b"", length),
                (b"", lost),
                (middle + middle, lost),
                (bytes(lost), lost),
                (rng.randbytes(4), 4),
                (rng.choice(EXTREMES), 4),
                (rng.randbytes(1), 1),
                (rng.randbytes(9), 0),
            ]
        )
        content = content[:place] + put + content[place + lost :]
    return content


ODD: list[Any] = [
    *(None, True, False, -1, 0, 1, 2, 3, 17, 10**9, 10**30, 1.5, -0.0, 1e-300),
    *(float("nan"), float("inf"), "", "a", "../a", "/etc/hostname", "x" * 10**5),
    *("\x1b[2J", "a\nb", "\ud800", [], [[]], [0], [1, 2], [1] * 1000, {}, {"a": 1}),
    *(["a", None], "@deep", "@deep object"),
]


def mutated_json(rng: Random, text: str) -> bytes:
    """A value replaced, left out or added somewhere; or another encoding; or bytes."""
    if rng.random() < 0.15:
        return mutated(rng, text.encode())
    told = json.loads(text)
    for _ in range(rng.choice((1, 1, 2))):
        here = told
        while True:
            keys = list(here) if isinstance(here, dict) else list(range(len(here)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(here[key], dict | list) and here[key] and rng.random() < 0.8:
                here = here[key]
                continue
            if rng.random() < 0.2:
                del here[key]
            else:
                here[key] = rng.choice(ODD)
            break
        if isinstance(here, dict) and rng.random() < 0.1:
            here[rng.choice(["", "more", "x" * 10**4, "self"])] = rng.choice(ODD)
    text = json.dumps(told)
    text = text.replace('"@deep"', "[" * 10**5 + "]" * 10**5)
    text = text.replace('"@deep object"', '{"a":' * 10**5 + "1" + "}" * 10**5)
    encodings = ["utf-8"] * 9 + ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"]
    return text.encode(rng.choice(encodings), "replace")


def mutated_png(rng: Random, content: bytes) -> bytes:
    """A chunk changed, lost, doubled or moved, with its checksum mended."""
    chunks, place = [], 8
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        kind = content[place + 4 : place + 8]
        chunks.append((kind, content[place + 8 : place + 8 + length]))
        place += 12 + length
    which = rng.randrange(len(chunks))
    kind, body = chunks[which]
    what = rng.randrange(6)
    if what < 3:
        chunks[which] = kind, mutated(rng, body)
    elif what == 3:
        del chunks[which]
    elif what == 4:
        chunks.insert(rng.randrange(len(chunks)), (kind, body))
    else:
        kind = rng.choice([b"tRNS", b"iCCP", b"eXIf", b"zTXt", b"gAMA", b"acTL"])
        chunks.insert(rng.randrange(1, len(chunks)), (kind, rng.randbytes(20)))
    packed = content[:8]
    for kind, body in chunks:
        sums = struct.pack(">I", zlib.crc32(kind + body))
        packed += struct.pack(">I", len(body)) + kind + body + sums
    return packed


def mutated_tiff(rng: Random, content: bytes) -> bytes:
    """An entry of the first directory with another tag, type, count or value."""
    order = "<" if content[:2] == b"II" else ">"
    (start,) = struct.unpack(order + "I", content[4:8])
    (count,) = struct.unpack(order + "H", content[start : start + 2])
    place = start + 2 + 12 * rng.randrange(count)
    at, size = rng.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 4), (8, 2)))
    value = rng.choice([0, 1, 2, 3, 4, 5, 6, 8, 16, 32, 64, 254, 2**16 - 1])
    if size == 4 and rng.random() < 0.3:
        value = rng.choice([2**31 - 1, 2**31, 2**32 - 1, 10**6])
    entry = value.to_bytes(size, "little" if order == "<" else "big")
    return content[: place + at] + entry + content[place + at + size :]


def mutated_safetensors(rng: Random, content: bytes) -> bytes:
    """Another header, with its length mended: the preset inside, or the tensors."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    if rng.random() < 0.6 and "preset" in header.get("__metadata__", {}):
        text = mutated_json(rng, header["__metadata__"]["preset"])
        header["__metadata__"]["preset"] = text.decode("utf-8", "replace")
        changed = json.dumps(header).encode()
    else:
        changed = mutated_json(rng, json.dumps(header))
    return struct.pack("<Q", len(changed)) + changed + content[8 + length :]


def mutated_zip(rng: Random, content: bytes) -> bytes:
    """One member changed, doubled or lost, with all checksums mended."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as z:
        names = old.namelist()
        chosen = rng.choice([*names, *[n for n in names if n.endswith("pkl")] * 99])
        what = rng.randrange(8)
        for name in names:
            body = old.read(name)
            if name == chosen and what < 6:
                body = mutated(rng, body)
            if name != chosen or what != 6:
                z.writestr(name, body)
            if name == chosen and what == 7:
                z.writestr(rng.choice(["../a", "/a", "C:/a", name.upper()]), body)
    return packed.getvalue()


MENDED: dict[str, Callable[[Random, bytes], bytes]] = {
    ".png": mutated_png,
    ".tif": mutated_tiff,
    ".safetensors": mutated_safetensors,
    ".pth": mutated_zip,
    ".json": lambda rng, content: mutated_json(rng, content.decode()),
}


def change(rng: Random, file: Path) -> None:
    """Mutate a file where it lies; half of the time so that its format still holds."""
    content = file.read_bytes()
    changed = mutated(rng, content)
    if file.suffix in MENDED and rng.random() < 0.6:
        # not where the name is another format's
        with contextlib.suppress(ValueError, IndexError, struct.error, OSError):
            changed = MENDED[file.suffix](rng, content)
    file.write_bytes(changed)


# Cases: each lays out files and tells the command that reads them ---------------------


def picture(rng: Random, sound: Path, place: Path) -> list[object]:
    file = rng.choice(sorted((sound / "pictures").iterdir()))
    ending = file.suffix if rng.random() < 0.9 else rng.choice([".png", ".tif", ""])
    given = place / f"{file.stem}{ending}"
    shutil.copy(file, given)
    change(rng, given) if rng.random() < 0.97 else given.write_bytes(b"")
    return ["upscale", given, "--model", sound / "model", "--out", place / "out"]


def folder(rng: Random, sound: Path, place: Path) -> list[object]:
    shutil.copytree(sound / "folder", place / "in")
    for file in rng.sample(sorted((sound / "pictures").iterdir()), 3):
        shutil.copy(file, place / "in")
        change(rng, place / "in" / file.name)
    verb = rng.choice(("prepare", "evaluate", "upscale", "train"))
    model, out = ["--model", sound / "model"], ["--out", place / "out"]
    if verb == "prepare":
        return [verb, place / "in", "--size", 16, "--jobs", 1, *out]
    if verb == "evaluate":
        figures = ["--out", place / "out.json", "--csv", place / "out.csv"]
        given = rng.choice((["--data"], ["--bicubic", 2, "--references"]))
        return [verb, *given, place / "in", *model, "--samples", 1, *figures]
    if verb == "train":
        preset = ["--preset", sound / "preset.json", "--validate-every", 1]
        return [verb, *preset, "--data", place / "in", *out]
    return [verb, place / "in", *model, *out]


def model(rng: Random, sound: Path, place: Path) -> list[object]:
    shutil.copytree(sound / "model", place / "model")
    change(rng, place / "model" / "model.safetensors")
    given = ["--model", place / "model", "--out", place / "out"]
    verb = rng.choice(("upscale", "upscale", "export", "generate"))
    if verb == "export":
        return [verb, place / "model", "--out", place / rng.choice(("o.pth", "o.pt2"))]
    return [verb, *([sound / "folder" / "0.png"] if verb == "upscale" else []), *given]


def figures(rng: Random, sound: Path, place: Path) -> list[object]:
    """What `evaluate` adds to: a model.json."""
    file = place / "model.json"
    shutil.copy(sound / "model" / "model.json", file)
    change(rng, file)
    data = ["--data", sound / "folder", "--count", 2, "--samples", 1]
    return ["evaluate", "--model", sound / "model", *data, "--out", file]


def state(rng: Random, sound: Path, place: Path) -> list[object]:
    out = place / "out"
    shutil.copytree(sound / "run", out)
    here = sorted((out / "state").iterdir())[-1]
    change(rng, rng.choice(sorted(here.iterdir())))
    if rng.random() < 0.7:
        sums = [
            f"{hashlib.sha256((here / name).read_bytes()).hexdigest()}  {name}\n"
            for name in ("state.safetensors", "state.json")
        ]
        (here / "SHA256SUMS").write_text("".join(sums))
    if rng.random() < 0.3:
        change(rng, out / "metrics.jsonl")
    preset = ["--preset", sound / "preset.json", "--data", sound / "folder"]
    return ["train", *preset, "--steps", 3, "--resume", "--out", out]


def preset(rng: Random, sound: Path, place: Path) -> list[object]:
    shutil.copy(sound / "preset.json", place)
    change(rng, place / "preset.json")
    return ["plan", place / "preset.json"]


def checkpoint(rng: Random, sound: Path, place: Path) -> list[object]:
    shutil.copy(sound / "t_gen.pth", place)
    change(rng, place / "t_gen.pth")
    return ["import", place / "t_gen.pth", "--out", place / "out"]


def configuration(rng: Random, sound: Path, place: Path) -> list[object]:
    shutil.copy(sound / "t_gen.json", place)
    change(rng, place / "t_gen.json")
    given = [sound / "t_gen.pth", "--config", place / "t_gen.json"]
    return ["import", *given, "--out", place / "out"]


def shard(rng: Random, sound: Path, place: Path) -> list[object]:
    import pyarrow.parquet

    ending = rng.choice((".tar", ".parquet"))
    given = place / f"shard{ending}"
    contents = [file.read_bytes() for file in sorted((sound / "folder").iterdir())] * 4
    what = rng.randrange(3)
    if what == 0:
        given.write_bytes(mutated(rng, (sound / given.name).read_bytes()))
    elif ending == ".tar":
        names = ["../a.png", "/etc/a.png", "C:a.png", "a" * 300 + ".png", "a.txt", "a/"]
        with tarfile.open(given, "w") as tar:
            for number, content in enumerate(contents):
                name = rng.choice(names) if rng.random() < 0.1 else f"{number}.png"
                odd = rng.random() < (0.2 if what == 1 else 1)
                add(tar, name, mutated(rng, content) if odd else content)
    else:
        odd_rows = [None, {"bytes": None, "path": "/etc/hostname"}, {"bytes": b""}]
        odd_rows += [{"bytes": mutated(rng, contents[0]), "path": "a.png"}]
        rows = [{"bytes": content, "path": None} for content in contents]
        for _ in range(1 if what == 1 else len(rows)):
            rows[rng.randrange(len(rows))] = rng.choice(odd_rows)
        pyarrow.parquet.write_table(table(rows), given)
    preset = ["--preset", sound / "preset.json", "--validate-every", 0]
    return ["train", *preset, "--data", given, "--out", place / "out"]


def prepared(rng: Random, sound: Path, place: Path) -> list[object]:
    given = place / "prepared"
    shutil.copytree(sound / "prepared", given)
    file = rng.choice(sorted(given.iterdir()))
    if file.suffix == ".names" and rng.random() < 0.6:
        names = file.read_bytes().split(b"\0")
        odd = [
            b"../a.png",
            b"/etc/hostname",
            b"",
            b"none.webp",
            b"\xff\xfe",
            b"a" * 300,
        ]
        names[rng.randrange(len(names))] = rng.choice(odd)
        file.write_bytes(b"\0".join(names))
    else:
        change(rng, file)
    if rng.random() < 0.3:
        again = [sound / "folder", "--size", 16, "--jobs", 1]
        return ["prepare", *again, "--out", given]
    preset = ["--preset", sound / "preset.json", "--validate-every", 0]
    return ["train", *preset, "--data", given, "--out", place / "out"]


KINDS = [
    *([picture] * 8 + [folder] * 2 + [model] * 2 + [figures, state, preset, preset]),
    *[checkpoint, checkpoint, configuration, shard, prepared],
]


# Verdicts -----------------------------------------------------------------------------


class Hang(BaseException):
    """Nothing but the campaign catches it."""


def verdict(command: list[str], place: Path, status: object, said: str) -> str:
    """What is wrong with how a command ended; "" if nothing is."""
    lines = [line.strip() for line in re.split(r"[\r\n]", said) if line.strip()]
    # without progress bars
    plain = [line for line in lines if not re.search(r"\d+%\||\d/s[],]|\w/s\]", line)]
    left = [p.name for p in place.rglob("*") if re.search(r"\.part|\.sr3mini", p.name)]
    if status not in (0, 2):
        return f"status {status}"
    if stray := [line for line in plain if not line.startswith("sr3mini: ")]:
        return f"says {stray[-1][:150]!r}"
    if long := [line for line in plain if len(line) > 1000]:
        return f"a sentence of {len(long[-1])} characters: {long[-1][:150]!r}"
    if any(not line.isprintable() for line in plain):
        return "prints control characters"
    if left:
        return f"leaves {left[0]} half-written"
    if status == 2 and not plain:
        return "status 2 without a sentence"
    return unlike(command, place) if status == 0 else ""


def unlike(command: list[str], place: Path) -> str:
    """What is wrong with a result; "" if nothing is."""
    from sr3mini.files.reading import read
    from sr3mini.model.checkpoint import load

    out, verb = Path(command[command.index("--out") + 1]), command[0]
    try:
        if verb == "import" or verb == "train":
            load(out)
        elif verb == "upscale":
            results = [file for file in out.rglob("*") if file.is_file()]
            if not results:
                return "status 0 without a result"
            sizes = [sorted(read(file).size) for file in results]
            if (given := Path(command[1])).is_file():
                wanted = sorted(4 * side for side in read(given).size)
                if sizes != [wanted]:
                    return f"makes {sizes}, wanted {wanted}"
        elif not out.exists():
            return "status 0 without a result"
    except Exception as error:
        return f"a result that cannot be used: {error}"
    return ""


# One after another --------------------------------------------------------------------


def one(seed: int, number: int, sound: Path, place: Path) -> dict[str, Any]:
    """Lay out a case and run it: what came of it."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    rng = Random(f"{seed}/{number}")
    make = KINDS[number % len(KINDS)]
    command = [str(each) for each in make(rng, sound, place)]
    if command[0] == "plan":
        command += ["--gpus", "1"]
    said = place.with_suffix(".said")
    for handle, path in ((1, place.with_suffix(".printed")), (2, said)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), handle)
    begun, reset = time.process_time(), Path("/proc/self/clear_refs")
    with contextlib.suppress(OSError):
        reset.write_text("5")  # the highest memory is counted anew
    if number % ALONE == ALONE - 1:
        done = subprocess.run([sys.executable, "-m", "sr3mini", *command], check=False)
        status: object = done.returncode
    else:
        status = in_process(command)
    seconds = time.process_time() - begun
    text = said.read_text(errors="replace")
    if command[0] == "plan" or "--out" not in command:
        command += ["--out", str(place)]  # for `unlike`: there is no file to look at
    told = {"number": number, "kind": make.__name__, "status": status}
    wrong = verdict(command, place, status, text)
    memory = peak()
    if memory > GIGABYTES * 1e9:
        wrong = wrong or f"takes {memory / 1e9:.1f} GB"
    return {
        **told,
        "seconds": seconds,
        "memory": memory,
        "wrong": wrong,
        "command": " ".join(command),
        "said": text[-1500:] if wrong else "",
    }


def in_process(command: list[str]) -> object:
    """The status of a command that runs here."""
    from sr3mini import cli

    def stop(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        cli.main(command)
        return 0
    except SystemExit as stopped:
        return stopped.code
    except Hang:
        traceback.print_exc()
        return f"none after {SECONDS} seconds"
    except BaseException as error:
        traceback.print_exc()
        return f"none, but {type(error).__name__}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.flush()
        sys.stderr.flush()


def peak() -> int:
    """The most memory in bytes since it was last reset, or of all time."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def work(seed: int, numbers: range, sound: Path, place: Path) -> None:
    """The worker: a line of JSON for each case, before and behind it."""
    answers = os.fdopen(os.dup(1), "w")
    limit = 2 * GIGABYTES * 2**30 + 2**31  # so that the machine survives
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    import torch

    import sr3mini.cli
    import sr3mini.training.train  # noqa: F401  (not in the first case's time)

    torch.set_num_threads(1)
    for number in numbers:
        print(json.dumps({"begun": number}), file=answers, flush=True)
        print(json.dumps(one(seed, number, sound, place)), file=answers, flush=True)


def campaign(seed: int, numbers: range, keep: Path) -> Iterator[dict[str, Any]]:
    """All cases, by as many workers as it takes."""
    sound, place = keep / "sound", keep / "case"
    if not sound.exists():
        sound_files(sound)
    while numbers:
        options = ["--worker", "--seed", str(seed), "--keep", str(keep)]
        ends = ["--first", str(numbers.start), "--count", str(len(numbers))]
        with subprocess.Popen(
            [sys.executable, __file__, *options, *ends],
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as worker:
            assert worker.stdout is not None
            begun, why = None, f"hangs for {PATIENCE} seconds"
            while select.select([worker.stdout], [], [], PATIENCE)[0]:
                line = worker.stdout.readline()
                if not line:
                    why = f"ends the process with {worker.wait()}"
                    break
                told = json.loads(line)
                begun = told.get("begun")
                if begun is None:
                    numbers = range(told["number"] + 1, numbers.stop)
                    yield told
            worker.kill()
        if numbers and begun is None:
            raise RuntimeError(f"the worker {why} between two cases")
        if numbers:
            kind = KINDS[numbers.start % len(KINDS)].__name__
            told = {"number": numbers.start, "kind": kind, "status": None, "wrong": why}
            said = place.with_suffix(".said").read_text(errors="replace")[-1500:]
            yield {**told, "seconds": 0.0, "memory": 0, "command": "", "said": said}
            numbers = range(numbers.start + 1, numbers.stop)


def report(told: list[dict[str, Any]]) -> str:
    """A row a kind, and a paragraph for each case that went wrong."""
    head = ("kind", "files", "right", "refused", "wrong", "slowest s", "most MB")
    rows: list[tuple[object, ...]] = [head]
    for kind in [*dict.fromkeys(one["kind"] for one in told), "all"]:
        some = [one for one in told if kind in (one["kind"], "all")]
        counts = [
            sum(not one["wrong"] and one["status"] == status for one in some)
            for status in (0, 2)
        ]
        slowest = max(one["seconds"] for one in some)
        most = max(one["memory"] for one in some) / 1e6
        wrong = sum(bool(one["wrong"]) for one in some)
        rows.append((kind, len(some), *counts, wrong, f"{slowest:.1f}", f"{most:.0f}"))
    lines = ["".join(f"{cell!s:>14}" for cell in row) for row in rows]
    for one in told:
        if one["wrong"]:
            lines += ["", f"{one['number']} {one['kind']}: {one['wrong']}"]
            lines += [one["command"], *one["said"].splitlines()[-4:]]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="mutated files, and what comes of them"
    )
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int, help="one case, by its number")
    parser.add_argument(
        "--keep", type=Path, help="where to leave the last case's files"
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    numbers = range(given.first, given.first + given.count)
    if given.only is not None:
        numbers = range(given.only, given.only + 1)
    if given.worker:
        return work(given.seed, numbers, given.keep / "sound", given.keep / "case")
    with tempfile.TemporaryDirectory() as temporary:
        told = []
        for answer in campaign(given.seed, numbers, given.keep or Path(temporary)):
            told.append(answer)
            if answer["wrong"] or given.only is not None:
                print(answer["number"], answer["kind"], answer["wrong"], flush=True)
    print(report(told))
    sys.exit(any(answer["wrong"] for answer in told))


if __name__ == "__main__":
    main()
