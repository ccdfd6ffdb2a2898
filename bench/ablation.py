"""What Fourier convolution brings: networks of one budget, with and without it, tested at several sizes.

    python -m bench.ablation train PHOTOS NETWORKS [--steps 500]
    python -m bench.ablation test NETWORKS EVALUATION [--out ablation.json]

``train`` gives every network the recipe ``ablation``: the same crops in the same order, the same steps. Each has its
folder in NETWORKS; a run that was stopped goes on. ``test`` scores them at sizes far above that of the crops, the
same photos at each size, marks that grow with it: what a network loses there is what its field of view lacks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from bench.deepfill import DeepFill
from bench.methods import whole_picture
from bench.metrics import masked_psnr
from bench.subjects import subjects
from model.fourier_unet import FourierUNet
from model.lama import LaMaGenerator
from model.training.batches import Batches
from model.training.checkpoint import read_checkpoint
from model.training.recipe import read_recipe
from model.training.trainer import Trainer

#: Widths at which all have one to two million parameters.
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "fourier-unet": FourierUNet,
    "fourier-unet, real part only": lambda: FourierUNet(real_only=True),
    "fourier-unet, plain skips": lambda: FourierUNet(guided=False),
    "fourier-unet without FFC": lambda: FourierUNet(ratio=0.0),
    "LaMa": lambda: LaMaGenerator(ngf=16, n_blocks=6),
    "LaMa, real part only": lambda: LaMaGenerator(ngf=16, n_blocks=6, real_only=True),
    "LaMa without FFC": lambda: LaMaGenerator(ngf=16, n_blocks=6, ratio=0.0),
    "DeepFill v2": lambda: DeepFill(width=12),
}


def folder_of(name: str) -> str:
    return name.lower().replace(",", "").replace(" ", "-")


def train(photos: Path, out: Path, steps: int | None, device: torch.device) -> None:
    """Train every network that is not trained yet."""
    recipe = read_recipe("ablation")
    if steps is not None:
        recipe = recipe.model_copy(update={"schedule": recipe.schedule.model_copy(update={"steps": steps})})
    batches = Batches(recipe, photos, device)
    for name, make in NETWORKS.items():
        torch.manual_seed(recipe.seed)
        network = make()
        began = time.monotonic()
        trainer = Trainer(network, recipe, batches, out / folder_of(name), device)
        trainer.run()
        count = sum(parameter.numel() for parameter in network.parameters())
        print(f"{name}: {count:,} parameters, step {trainer.step}, {time.monotonic() - began:.0f} s", flush=True)
    batches.close()


def trained(out: Path) -> dict[str, nn.Module]:
    """The averaged networks that ``train`` left in ``out``, by name."""
    found: dict[str, nn.Module] = {}
    for name, make in NETWORKS.items():
        checkpoint = out / folder_of(name) / "checkpoint.pt"
        if checkpoint.exists():
            network = make()
            network.load_state_dict(read_checkpoint(checkpoint, torch.device("cpu"))["average"])
            found[name] = network.eval().requires_grad_(False)
    return found


def test(networks: dict[str, nn.Module], folder: Path, sizes: list[int], count: int) -> dict[str, dict[str, float]]:
    """Mean masked PSNR by network and size."""
    figures: dict[str, dict[str, float]] = {name: {} for name in networks}
    for size in sizes:
        scores: dict[str, list[float]] = {name: [] for name in networks}
        for subject in subjects(folder, size, kinds=("text", "logo"), photos=count, seed=0):
            for name, network in networks.items():
                result = whole_picture(network)(subject.task)
                scores[name].append(masked_psnr(result, subject.original, subject.mask))
        for name, values in scores.items():
            figures[name][str(size)] = round(float(np.mean(values)), 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("photos", type=Path)
    training.add_argument("networks", type=Path)
    training.add_argument("--steps", type=int, help="of each network (default: the recipe's)")
    training.add_argument("--device", default="cpu")
    testing = commands.add_parser("test")
    testing.add_argument("networks", type=Path)
    testing.add_argument("folder", type=Path)
    testing.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048])
    testing.add_argument("--photos", type=int, default=6, help="photos at each size (default: %(default)s)")
    testing.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.command == "train":
        train(options.photos, options.networks, options.steps, torch.device(options.device))
        return
    networks = trained(options.networks)
    figures = test(networks, options.folder, options.sizes, options.photos)
    table = Table("network", "parameters", *map(str, options.sizes), title="masked PSNR in dB by size")
    report = {}
    for name, network in networks.items():
        count = sum(parameter.numel() for parameter in network.parameters())
        table.add_row(name, f"{count:,}", *(f"{figures[name][str(size)]:.2f}" for size in options.sizes))
        report[name] = {"parameters": count, "psnr_db": figures[name]}
    Console(width=120).print(table)
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
