"""A long training run in slices, for a GPU machine that is available for minutes and keeps no files.

    python -m bench.train_slice prepare PARCEL --photos PHOTOS --features lpips-vgg.safetensors [--results OUT]
    python -m bench.train_slice run PARCEL OUT [--seconds 480]

``prepare`` fills PARCEL with the data of one slice: some photos (others in each slice), drawn masks, VGG's features,
and the state of the last slice from OUT. It refuses a parcel over ``--most-mb``. ``run`` trains one slice and prints
images/s and the share of the device's peak. It writes to OUT the state in parts of 15 MB, the averaged weights, the log
and a contact sheet. It needs torch, safetensors, numpy, Pillow and pydantic.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from model.training.batches import Batches
from model.training.recipe import Recipe, read_recipe
from model.training.session import new_network, write_weights
from model.training.trainer import Trainer
from model.training.travel import from_bytes, read_parts, to_bytes, write_parts

#: Most stages of VGG in a parcel: the last two are nine tenths of its bytes.
STAGES = 3
_CONVOLUTIONS = (2, 4, 7, 10, 13)


def prepare(parcel: Path, options: argparse.Namespace) -> None:
    """Fill ``parcel`` for the next slice.

    Raises:
        SystemExit: the parcel is larger than ``--most-mb``.
    """
    from model.training.holes import draw_pool, write_pool
    from model.training.packing import pack
    from model.training.photos import Photos

    shutil.rmtree(parcel, ignore_errors=True)
    (parcel / "photos").mkdir(parents=True)
    recipe = read_recipe(options.recipe)
    number = 0
    if options.results:
        previous = json.loads((options.results / "slice.json").read_text())
        number = int(previous["slice"])
        for part in sorted(options.results.glob("state.??")):
            shutil.copy(part, parcel)
        shutil.copy(options.results / "log.csv", parcel)
    if recipe.losses.perceptual:
        write_features(options.features, parcel / "features.safetensors", min(recipe.perceptual.stages, STAGES))
    kinds = [str(kind) for kind, share in recipe.masks.shares.items() if share > 0]
    write_pool(draw_pool(recipe.seed, min(recipe.masks.pool, options.masks), kinds), parcel / "pool.npz")
    (parcel / "parcel.json").write_text(json.dumps({"recipe": options.recipe, "slice": number}))
    # Photos fill the remaining space; the seed selects other photos in each slice.
    remaining = options.most_mb * 1e6 - size_of(parcel)
    shards = pack(
        Photos(options.photos, longest=options.longest), parcel / "photos",
        quality=options.quality, shard_bytes=1 << 40, most_bytes=int(remaining), seed=number,
    )  # fmt: skip
    size = size_of(parcel)
    print(f"slice {number}: {size / 1e6:.1f} MB in {parcel}, {sum(shard.stat().st_size for shard in shards) / 1e6:.1f} "
          "of them photos")  # fmt: skip
    if size > options.most_mb * 1e6 or not shards:
        raise SystemExit(f"the parcel is over {options.most_mb} MB, or has no room for photos: raise --most-mb")


def write_features(source: Path, out: Path, stages: int) -> None:
    """Write the first stages of VGG, in half precision."""
    tensors = load_file(source)
    kept = {f"conv{number}.{part}" for number in range(_CONVOLUTIONS[stages - 1]) for part in ("weight", "bias")}
    kept |= {f"lin{stage}.weight" for stage in range(stages)}
    save_file({name: tensors[name].half() for name in sorted(kept)}, out)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def recipe_of(parcel: Path, changes: dict[str, Any]) -> Recipe:
    """The parcel's recipe, with the paths of the parcel's files, and with ``changes`` by part."""
    table = read_recipe(json.loads((parcel / "parcel.json").read_text())["recipe"]).model_dump()
    table["perceptual"] |= {
        "weights": str(parcel / "features.safetensors"), "stages": min(table["perceptual"]["stages"], STAGES),
    }  # fmt: skip
    table["masks"]["drawn"] = str(parcel / "pool.npz")
    for part, values in changes.items():
        table[part] |= values
    return Recipe.model_validate(table)


def run(parcel: Path, out: Path, *, seconds: float, device: torch.device, changes: dict[str, Any]) -> dict[str, Any]:
    """Train one slice; the figures of the slice."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    work = out / "work"
    recipe = recipe_of(parcel, changes)
    batches = Batches(recipe, parcel / "photos", device)
    work.mkdir()
    if (parcel / "log.csv").exists():
        shutil.copy(parcel / "log.csv", work)
    trainer = Trainer(new_network(recipe.network, seed=recipe.seed), recipe, batches, work, device)
    coded = read_parts(parcel)
    if coded:
        trainer.load(from_bytes(coded, device))
    first = trainer.step
    operations = trainer.count_operations()
    peak = peak_of(device, bf16=trainer.bf16)
    trainer.run(until=trainer.step + 20)  # compiles and warms up
    warm, since = trainer.step, time.monotonic()
    trainer.run(seconds=max(0.0, seconds - (since - began)))
    _wait(device)
    took = max(time.monotonic() - since, 1e-9)
    rate = (trainer.step - warm) / took
    number = json.loads((parcel / "parcel.json").read_text())["slice"]
    figures = {
        "slice": number + 1,
        "steps": [first, trainer.step],
        "images_per_second": round(rate * recipe.data.batch, 1),
        "gflop_per_step": round(operations / 1e9, 1),
        "peak_tflops": round(peak / 1e12, 2),
        "share_of_peak": round(rate * operations / peak, 4),
        "seconds": round(time.monotonic() - began, 1),
    }
    write_parts(to_bytes(trainer.state()), out)
    write_weights(trainer, out / "weights.safetensors")
    shutil.copy(work / "log.csv", out)
    for sheet in sorted(work.glob("sheet-*.jpg"))[-1:]:
        shutil.copy(sheet, out)
    (out / "slice.json").write_text(json.dumps(figures, indent=1) + "\n")
    batches.close()
    shutil.rmtree(work)
    return figures


def peak_of(device: torch.device, *, bf16: bool) -> float:
    """Operations per second of a large matrix product on ``device``, in the precision of the training."""
    side, kind = (8192 if device.type == "cuda" else 1024), (torch.bfloat16 if bf16 else torch.float32)
    a, b = (torch.rand(side, side, device=device, dtype=kind) for _ in range(2))
    times = []
    for _ in range(8):
        _wait(device)
        began = time.perf_counter()
        a @ b
        _wait(device)
        times.append(time.perf_counter() - began)
    return 2 * side**3 / float(np.median(times[3:]))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("prepare")
    packing.add_argument("parcel", type=Path)
    packing.add_argument("--photos", type=Path, required=True)
    packing.add_argument("--features", type=Path, required=True)
    packing.add_argument("--results", type=Path, help="output folder of the slice before")
    packing.add_argument("--recipe", default="cleanplate-small")
    packing.add_argument(
        "--most-mb", type=float, default=45, help="largest size of the parcel in MB (default: %(default)s)"
    )
    packing.add_argument("--longest", type=int, default=512)
    packing.add_argument("--quality", type=int, default=80)
    packing.add_argument("--masks", type=int, default=2000)
    slicing = commands.add_parser("run")
    slicing.add_argument("parcel", type=Path)
    slicing.add_argument("out", type=Path)
    slicing.add_argument("--seconds", type=float, default=480, help="length of the whole slice (default: %(default)s)")
    slicing.add_argument("--device", default="cuda")
    slicing.add_argument(
        "--change", nargs="*", default=[], metavar="PART.NAME=VALUE", help="changed settings of the recipe"
    )
    options = parser.parse_args(arguments)
    if options.command == "prepare":
        prepare(options.parcel, options)
        return
    changes: dict[str, dict[str, Any]] = {}
    for change in options.change:
        place, value = change.split("=", 1)
        part, name = place.split(".", 1)
        changes.setdefault(part, {})[name] = json.loads(value)
    print(json.dumps(run(
        options.parcel, options.out,
        seconds=options.seconds, device=torch.device(options.device), changes=changes,
    ), indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
