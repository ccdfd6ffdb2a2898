"""``python -m model.training PHOTOS RUN``: train a fourier-unet on a folder of photos; run it again to go on.

At the end the averaged weights are written to ``RUN/weights.safetensors``.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from model.fourier_unet import FourierUNet
from model.training.batches import Batches, load_photos, mask_pool
from model.training.trainer import Plan, Trainer
from model.weights import Description, save_weights


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m model.training", description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of pictures to learn from")
    parser.add_argument("run", type=Path, help="folder for the checkpoint and the log; an existing run goes on")
    parser.add_argument("--steps", type=int, default=6000, help="optimiser steps in all (default: %(default)s)")
    parser.add_argument("--decay", type=float, default=0.3, help="share of the steps in which the rate falls to zero")
    parser.add_argument("--batch", type=int, default=16, help="crops a step (default: %(default)s)")
    parser.add_argument("--crop", type=int, default=96, help="side of a crop, a multiple of 16 (default: %(default)s)")
    parser.add_argument("--masks", type=int, default=3000, help="masks made at the start (default: %(default)s)")
    parser.add_argument("--bf16", action="store_true", help="compute in bf16 (autocast): for devices that know it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--source", default="", help="said in the weights file: what it was trained on")
    parser.add_argument("--licence", default="", help="said in the weights file: its licence")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(options.seed)
    batches = Batches(
        photos=load_photos(options.photos),
        masks=mask_pool(options.seed, options.masks),
        size=options.batch,
        crop=options.crop,
        seed=options.seed,
    )
    plan = Plan(steps=options.steps, decay=options.decay, bf16=options.bf16)
    trainer = Trainer(FourierUNet(), batches, plan, options.run)
    trainer.run()
    description = Description("fourier-unet", source=options.source, licence=options.licence)
    save_weights(trainer.average, description, options.run / "weights.safetensors", dtype=torch.float16)


if __name__ == "__main__":
    main()
