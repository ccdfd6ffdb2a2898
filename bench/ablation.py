"""The gain of Fourier convolution: networks of one budget, with and without it, tested at several sizes.

    python -m bench.ablation train PHOTOS NETWORKS/0 [--steps 500] [--seed 0] [--device cuda]
    python -m bench.ablation test EVALUATION NETWORKS/0 [NETWORKS/1 ...] [--sizes 256 512 1024 2048] [--out FILE]

``train`` gives every network the recipe ``ablation``: the same crops in the same order, round by round. All networks
stand at the same step whenever it is stopped, and the same command resumes. Each seed needs its own folder. ``test``
scores the networks on the same photos at each size, under marks that grow with the size. A loss at sizes far above
that of the crops shows a field of view that is too small.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bench.deepfill import DeepFill
from bench.methods import whole_picture
from bench.metrics import masked_psnr
from bench.subjects import subjects
from model.networks.fourier_unet import FourierUNet
from model.networks.lama import LaMaGenerator
from model.training.batches import Batch, Batches
from model.training.checkpoint import read_checkpoint
from model.training.recipe import Recipe, read_recipe
from model.training.trainer import Trainer


class Unfilled(FourierUNet):
    """``fourier-unet`` that begins from zeros in the hole, as LaMa does.

    A prefill would hide the differences between networks of a small budget.
    """

    def __init__(self, *, ratio: float = 0.5, real_only: bool = False, guided: bool = True) -> None:
        super().__init__(channels=(12, 16, 32, 48, 64), ratio=ratio, real_only=real_only, guided=guided)

    def begin(self, picture: Tensor, hole: Tensor) -> Tensor:
        return picture


#: At these widths each network has 0.2 to 0.5 million parameters.
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "fourier-unet": Unfilled,
    "fourier-unet, real part only": lambda: Unfilled(real_only=True),
    "fourier-unet, plain skips": lambda: Unfilled(guided=False),
    "fourier-unet without FFC": lambda: Unfilled(ratio=0.0),
    "LaMa": lambda: LaMaGenerator(ngf=8, n_blocks=6),
    "LaMa, real part only": lambda: LaMaGenerator(ngf=8, n_blocks=6, real_only=True),
    "LaMa without FFC": lambda: LaMaGenerator(ngf=8, n_blocks=6, ratio=0.0),
    "DeepFill v2": lambda: DeepFill(width=8),
}
#: Questions, each with the two networks whose difference answers it.
QUESTIONS = {
    "FFC against none, LaMa": ("LaMa", "LaMa without FFC"),
    "FFC against none, fourier-unet": ("fourier-unet", "fourier-unet without FFC"),
    "complex against real part, LaMa": ("LaMa", "LaMa, real part only"),
    "complex against real part, fourier-unet": ("fourier-unet", "fourier-unet, real part only"),
    "guided against plain skips": ("fourier-unet", "fourier-unet, plain skips"),
}
KINDS = ("text", "logo", "tiled")
#: Masked PSNR by network and size: one row for each seed, one column for each subject.
Scores = dict[str, dict[int, list[list[float]]]]


class RoundBatches(Batches):
    """The batches of a round, made once and shared by all networks."""

    def __init__(self, recipe: Recipe, photos: Path, device: torch.device) -> None:
        super().__init__(recipe, photos, device)
        self._every, self._made = recipe.logging.every, dict[int, Batch]()

    def batch(self, step: int, *, size: int | None = None) -> Batch:
        if size is not None:
            return super().batch(step, size=size)
        if step not in self._made:
            if step % self._every == 0:
                self._made.clear()
            self._made[step] = super().batch(step)
        return self._made[step]


def folder_of(name: str) -> str:
    return name.lower().replace(",", "").replace(" ", "-")


def train(
    photos: Path, out: Path, *, steps: int | None, seed: int, seconds: float, device: torch.device, excluded: list[str]
) -> None:
    """Train all networks but ``excluded`` to step ``steps``, or until no further round fits in ``seconds``."""
    recipe = read_recipe("ablation")
    schedule = recipe.schedule.model_copy(update={"steps": steps or recipe.schedule.steps})
    recipe = recipe.model_copy(update={"schedule": schedule, "seed": seed})
    batches = RoundBatches(recipe, photos, device)
    trainers = {}
    for name, make in NETWORKS.items():
        if name not in excluded:
            torch.manual_seed(seed)
            trainers[name] = Trainer(make(), recipe, batches, out / folder_of(name), device)
    began = time.monotonic()
    took = 0.0
    while min(trainer.step for trainer in trainers.values()) < schedule.steps:
        if time.monotonic() - began + took > seconds:
            break
        since = time.monotonic()
        target = (min(trainer.step for trainer in trainers.values()) // recipe.logging.every + 1) * recipe.logging.every
        for trainer in trainers.values():
            trainer.run(until=target)
        took = time.monotonic() - since
        print(f"seed {seed}: all at step {target} of {schedule.steps}, {time.monotonic() - began:.0f} s", flush=True)
    batches.close()


def read_networks(out: Path) -> dict[str, nn.Module]:
    """The averaged networks that ``train`` wrote to ``out``, by name."""
    networks: dict[str, nn.Module] = {}
    for name, make in NETWORKS.items():
        checkpoint = out / folder_of(name) / "checkpoint.pt"
        if checkpoint.exists():
            network = make()
            network.load_state_dict(read_checkpoint(checkpoint, torch.device("cpu"))["average"])
            networks[name] = network.eval().requires_grad_(False)
    return networks


def steps_of(out: Path) -> dict[str, int]:
    """The training steps of each network in ``out``."""
    files = {name: out / folder_of(name) / "checkpoint.pt" for name in NETWORKS}
    return {
        name: int(read_checkpoint(file, torch.device("cpu"))["step"]) for name, file in files.items() if file.exists()
    }


def test(
    seeds: dict[str, dict[str, nn.Module]], folder: Path, sizes: list[int], count: int, journal: Path | None = None
) -> Scores:
    """Masked PSNR of the networks of all seeds on ``count`` photos (0: all).

    Scores in ``journal`` are read instead of computed again.
    """
    lines = journal.read_text().splitlines() if journal and journal.exists() else []
    known: dict[tuple[str, str, int], float] = {(row[0], row[1], row[2]): row[3] for row in map(json.loads, lines)}
    names = {name: None for networks in seeds.values() for name in networks}
    scores: Scores = {name: {size: [[] for _ in seeds] for size in sizes} for name in names}
    for size in sizes:
        for subject in subjects(folder, size, kinds=KINDS, photos=count or None, seed=0):
            identity = zlib.crc32(subject.task.picture.pixels.tobytes())
            for number, (seed, networks) in enumerate(seeds.items()):
                for name, network in networks.items():
                    key = (seed, name, identity)
                    if key not in known:
                        result = whole_picture(network)(subject.task)
                        known[key] = masked_psnr(result, subject.original, subject.mask)
                        if journal:
                            with journal.open("a") as file:
                                file.write(json.dumps([*key, known[key]]) + "\n")
                    scores[name][size][number].append(known[key])
    return scores


def answers(scores: Scores, size: int) -> dict[str, dict[str, float | list[float]]]:
    """Differences of pairs in dB: the mean, the standard error over subjects, and the mean of each seed."""
    differences_by_question: dict[str, dict[str, float | list[float]]] = {}
    for question, (one, other) in QUESTIONS.items():
        if one in scores and other in scores:
            pairs = zip(scores[one][size], scores[other][size], strict=True)
            differences = np.array([np.subtract(*pair) for pair in pairs if pair[0] and pair[1]])
            subject = differences.mean(axis=0)
            differences_by_question[question] = {
                "db": round(float(subject.mean()), 3),
                "standard_error": round(float(subject.std(ddof=1) / len(subject) ** 0.5), 3) if len(subject) > 1 else 0,
                "by_seed": [round(float(value), 3) for value in differences.mean(axis=1)],
            }
    return differences_by_question


def report(scores: Scores, seeds: list[Path], sizes: list[int]) -> dict[str, Any]:
    """All measurements, for JSON."""
    networks = {}
    for name in scores:
        by_size = {str(size): [round(float(np.mean(row)), 3) for row in scores[name][size] if row] for size in sizes}
        parameters = sum(parameter.numel() for parameter in NETWORKS[name]().parameters())
        networks[name] = {"parameters": parameters, "psnr_db_by_seed": by_size}
    return {
        "steps": {folder.name: steps_of(folder) for folder in seeds},
        "subjects": {str(size): max(len(row) for row in next(iter(scores.values()))[size]) for size in sizes},
        "networks": networks,
        "answers": {str(size): answers(scores, size) for size in sizes},
    }


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """``new``, with the entries that only ``old`` holds, at every depth."""
    both = {name: merge(old[name], part) for name, part in new.items() if isinstance(old.get(name), dict)}
    return {**old, **new, **both}


def show(scores: Scores, sizes: list[int], console: Console) -> None:
    """Print the report as tables."""
    heads = [f"{size} px" for size in sizes]
    table = Table("network", *heads, title="masked PSNR in dB, mean of all seeds")
    for name, by_size in scores.items():
        table.add_row(name, *(f"{np.mean([one for row in by_size[size] for one in row]):.2f}" for size in sizes))
    console.print(table)
    table = Table("question", *heads, title="difference in dB, with the standard error over subjects; by seed")
    answers_by_size = {size: answers(scores, size) for size in sizes}
    for question in answers_by_size[sizes[0]]:
        cells = (answers_by_size[size][question] for size in sizes)
        table.add_row(question, *(f"{one['db']:+.2f} ± {one['standard_error']:.2f}; {one['by_seed']}" for one in cells))
    console.print(table)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("photos", type=Path)
    training.add_argument("networks", type=Path)
    training.add_argument("--steps", type=int, help="training steps of each network (default: the recipe's)")
    training.add_argument(
        "--seed", type=int, default=0, help="seed of the first weights and of the crops (default: %(default)s)"
    )
    training.add_argument(
        "--seconds", type=float, default=float("inf"), help="begin no round that would end after this time"
    )
    training.add_argument("--device", default="cpu")
    testing = commands.add_parser("test")
    testing.add_argument("folder", type=Path)
    testing.add_argument("networks", type=Path, nargs="+")
    testing.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048])
    testing.add_argument("--photos", type=int, default=6, help="photos at each size; 0: all (default: %(default)s)")
    testing.add_argument("--journal", type=Path, help="append every score to this file, and resume from it")
    testing.add_argument("--out", type=Path, help="write the report here; other sizes in the file stay")
    for command in (training, testing):
        command.add_argument("--leave", nargs="*", default=[], choices=list(NETWORKS), help="networks to leave out")
    options = parser.parse_args(arguments)
    if options.command == "train":
        train(
            options.photos, options.networks,
            steps=options.steps, seed=options.seed, seconds=options.seconds,
            device=torch.device(options.device), excluded=options.leave,
        )  # fmt: skip
        return
    seeds = {
        folder.name: {name: network for name, network in read_networks(folder).items() if name not in options.leave}
        for folder in options.networks
    }
    scores = test(seeds, options.folder, options.sizes, options.photos, options.journal)
    show(scores, options.sizes, Console(width=150))
    if options.out:
        before = json.loads(options.out.read_text()) if options.out.exists() else {}
        merged = merge(before, report(scores, options.networks, options.sizes))
        options.out.write_text(json.dumps(merged, indent=1) + "\n")


if __name__ == "__main__":
    main()
