"""``train``: trains a network on your own photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(  # noqa: PLR0917 (options of a command)
    recipe: Annotated[str, typer.Argument(help="A TOML file, or the name of a recipe in the package.")],
    run: Annotated[Path, typer.Argument(help="Folder of the run; an existing run resumes.")],
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures or packed shards to train on.", show_default="as the recipe says"),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            help="safetensors with VGG16's features, for the perceptual loss.", show_default="as the recipe says"
        ),
    ] = None,
    until: Annotated[int | None, typer.Option(help="Stop after this step.", show_default="the recipe's last")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
) -> None:
    """Train a network by a recipe. After an interruption the same command resumes from the last checkpoint.

    The run's folder gets a checkpoint, `log.csv`, sheets of samples, and at the end `weights.safetensors` for
    `CLEANPLATE_WEIGHTS`. Needs the extra `worker` (`pip install 'cleanplate[worker]'`).

    Example: `cleanplate train fine-tune runs/first --photos catalogue --features lpips-vgg.safetensors`
    """
    import logging

    import torch

    from cleanplate.base.files import make_folder
    from cleanplate.errors import UsageError
    from model.errors import TrainingInterrupted
    from model.training.recipe import read_recipe
    from model.training.session import open_run, stopped_by_signals, write_weights

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    plan = read_recipe(recipe)
    if features is not None:
        perceptual = plan.perceptual.model_copy(update={"weights": str(features)})
        plan = plan.model_copy(update={"perceptual": perceptual})
    folder = photos or (Path(plan.data.photos) if plan.data.photos else None)
    if folder is None:
        raise UsageError("Name the pictures to train on: --photos FOLDER, or data.photos in the recipe.")
    make_folder(run)
    chosen = torch.device(device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu"))
    trainer = open_run(plan, folder, run, chosen)
    try:
        with stopped_by_signals(trainer):
            trainer.run(until)
    except TrainingInterrupted as stopped:
        typer.echo(f"cleanplate: {stopped}", err=True)
        raise typer.Exit(130) from None
    finally:
        trainer.batches.close()
    if trainer.step < plan.schedule.steps:
        typer.echo(f"Step {trainer.step} of {plan.schedule.steps}: run the same command to resume.")
        return
    weights = run / "weights.safetensors"
    write_weights(trainer, weights)
    typer.echo(f"{weights} is ready: cleanplate weights verify {weights}")
