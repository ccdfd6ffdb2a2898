"""``inpaint``: one picture on this machine, without any service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def inpaint(
    image: Annotated[Path, typer.Argument(help="The picture.")],
    mask: Annotated[Path, typer.Argument(help="Its mask, of its size: white: repair, black: keep.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, in the picture's own format.")],
    weights: Annotated[
        str | None, typer.Option(help="A name from `cleanplate weights list`, or a file.", show_default="as set")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Clean one picture, here and now. Nothing changes outside the widened mask; format and metadata are kept.

    Needs the worker's packages (`pip install 'cleanplate[worker]'`). Device, weights and limits are those of
    `cleanplate settings`.

    Example: `cleanplate inpaint photo.jpg logo-mask.png -o clean.jpg`
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cleanplate.errors import UsageError
    from cleanplate.files import replacing
    from cleanplate.settings import load_settings
    from cleanplate.weights import find
    from model import repair
    from model.imaging import Limits, probe

    settings = load_settings() if weights is None else load_settings(weights=weights)
    chosen = find(settings) or ""
    if out.exists() and not force:
        raise UsageError(f"{out} exists: choose another name, or overwrite it with --force.")
    if not out.parent.is_dir():
        raise UsageError(f"There is no folder {out.parent}.")
    limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    source = _bytes(image, limits.max_bytes)
    facts = probe(source, limits)
    if media_type(out) != facts.content_type:
        raise UsageError(f"{out} must end in {facts.extension}: the result has the picture's own format.")
    task = repair.read(source, _bytes(mask, limits.max_bytes), limits=limits)

    from model.inpainter import LaMaInpainter

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with (
        LaMaInpainter(chosen, settings.device, threads=settings.torch_threads) as inpainter,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        bar = progress.add_task(image.name, total=task.tiles_total)
        results = repair.fill_parts(task, inpainter.run, lambda done: progress.update(bar, completed=done))
    with replacing(out) as file:
        file.write(repair.write(task, results).data)


def _bytes(path: Path, most: int) -> bytes:
    """A file's bytes, one more than ``most`` at most: what judges them need not read a disk full of them."""
    from cleanplate.errors import UsageError

    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None


def media_type(path: Path) -> str | None:
    """What a file's name claims."""
    from PIL import Image

    return Image.MIME.get(Image.registered_extensions().get(path.suffix.lower(), ""))
