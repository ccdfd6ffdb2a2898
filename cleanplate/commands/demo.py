"""``demo``: cleans the sample photos on a service that runs as long as the command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    samples: Annotated[Path, typer.Option(help="Folder with marked/, masks/ and originals/.")] = Path("samples"),
    out: Annotated[Path, typer.Option(help="Folder for the results, the contact sheet and the service.")] = Path(
        "demo"
    ),
) -> None:
    """Clean the sample photos on an embedded service, and measure the results against the known originals.

    Needs the extras `service` and `worker`. Exit status 1 if an image failed, a pixel outside the widened mask changed,
    or OpenCV's Telea did better.

    Example: `cleanplate demo --out /tmp/demo`
    """
    from cleanplate.embedded.demo import run

    raise typer.Exit(run(samples, out))
