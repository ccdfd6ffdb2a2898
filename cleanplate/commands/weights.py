"""``weights list|pull|convert|verify``: networks other than the one that ships."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.commands.extras import needs

if TYPE_CHECKING:
    from cleanplate.base.settings import Settings
    from cleanplate.local.conversions import Verified

app = typer.Typer(
    help="Weights of the network. `CLEANPLATE_WEIGHTS` chooses them: a name from the list, or a file.",
    no_args_is_help=True,
)


@app.command(name="list", cls=needs("worker"))
def list_() -> None:
    """List the weights on this machine and those that can be fetched.

    Example: `cleanplate weights list`
    """
    from cleanplate.base.settings import load_settings
    from cleanplate.terminal.tables import print_table

    print_table(("name", "is", "network", "licence", "source"), _rows(load_settings()))


def _rows(settings: Settings) -> Iterator[tuple[str, str, str, str, str]]:
    from cleanplate.base.weights import PUBLISHED, SHIPPED, kept
    from model.errors import WeightsRejected
    from model.networks.weights import SHIPPED as SHIPPED_FILE
    from model.networks.weights import describe

    files = {path.stem: path for path in kept(settings)}
    for name, state, path in ((SHIPPED, "shipped", SHIPPED_FILE), *((name, "here", files[name]) for name in files)):
        try:
            description = describe(path)
        except WeightsRejected as refused:
            yield name, "damaged", "", "", str(refused)
        else:
            known = (
                (description.name or description.architecture, description.licence, description.source)
                if description
                else ("", "", "of another project")
            )
            yield name, state, *known
    for known_name, published in PUBLISHED.items():
        if known_name not in files:
            yield known_name, "to be pulled", known_name, published.licence, published.provenance


@app.command(cls=needs("worker"))
def pull(
    name: Annotated[str, typer.Argument(help="Weights from `cleanplate weights list`.")],
    mirror: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Address of a copy of the same file; its digest is checked too.",
            show_default="CLEANPLATE_WEIGHTS_MIRROR",
        ),
    ] = None,
) -> None:
    """Fetch published weights, check their digest, and store them as safetensors in `HOME/weights`.

    An interrupted pull resumes. No code in the file is ever run. The page shows how far it is.

    Example: `cleanplate weights pull big-lama`
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from cleanplate.base.pulls import state_path
    from cleanplate.base.settings import load_settings
    from cleanplate.base.weights import PUBLISHED, path_of
    from cleanplate.errors import UsageError
    from cleanplate.local import conversions
    from cleanplate.local.pull_reports import PullReport

    if name not in PUBLISHED:
        raise UsageError(f"No weights {name!r} are known: there are {', '.join(PUBLISHED)}.")
    settings = load_settings()
    out = path_of(settings, name)
    if out.is_file():
        _print(conversions.verify(out))
        typer.echo(f"{name} is already on this machine.")
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    report = PullReport(state_path(settings, name))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=None)

        def note(arrived: int, total: int | None) -> None:
            progress.update(task, completed=arrived, total=total)
            report.note(arrived, total)

        url = mirror or settings.weights_mirror
        made = conversions.pull(PUBLISHED[name], out, url=url, on_progress=note, observed=report)
    _print(made)
    typer.echo(f"Use it with CLEANPLATE_WEIGHTS={name}.")


@app.command(cls=needs("worker"))
def convert(
    file: Annotated[
        Path, typer.Argument(help="Checkpoint (best.ckpt), TorchScript (big-lama.pt), state dict or safetensors.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write.", show_default="HOME/weights/NAME.safetensors"),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Their source, to be stated in the file.")] = None,
    licence: Annotated[str | None, typer.Option(help="Their licence, to be stated in the file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Convert the weights in a file to fp32 safetensors that name their network. No code in the file is run.

    The tensors' names and shapes tell the network, the digest tells published files.

    Example: `cleanplate weights convert best.ckpt -o places.safetensors --licence Apache-2.0`
    """
    from cleanplate.base.files import require_writable
    from cleanplate.base.settings import load_settings
    from cleanplate.base.weights import path_of
    from cleanplate.errors import UsageError
    from cleanplate.local import conversions
    from cleanplate.local.downloads import digest_of

    if not file.is_file():
        raise UsageError(f"There is no file {file}.")
    known = conversions.publication(file)
    if out is None:
        out = path_of(load_settings(), known.name if known else file.stem)
        conversions.make_folder(out.parent)
    if out.exists() and not force:
        raise UsageError(f"{out} exists: choose another name with -o, or overwrite it with --force.")
    if not out.parent.is_dir():
        raise UsageError(f"There is no folder {out.parent}.")
    require_writable(out.parent)
    _print(
        conversions.convert(
            file,
            out,
            source=source or (known.provenance if known else f"{file.name}, {digest_of(file, 'sha256')}"),
            licence=licence or (known.licence if known else "not stated"),
        )
    )


@app.command(cls=needs("worker"))
def verify(
    file: Annotated[str, typer.Argument(help="A weights file, or a name from `cleanplate weights list`.")],
) -> None:
    """Load weights, check that every value is finite, and describe them.

    The SHA-256 of a file of `pull` or `convert` must still be the one that they wrote down.

    Example: `cleanplate weights verify big-lama`
    """
    from cleanplate.base.settings import load_settings
    from cleanplate.base.weights import find
    from cleanplate.local import conversions
    from model.networks.weights import SHIPPED

    _print(conversions.verify(find(load_settings(weights=file)) or SHIPPED))


def _print(verified: Verified) -> None:
    description = verified.description
    network = f"{description.name} ({description.architecture})" if description.name else description.architecture
    configuration = ", ".join(f"{key}={value}" for key, value in description.configuration.items())
    for heading, value in (
        ("file", str(verified.path)),
        ("network", network),
        ("configuration", configuration or "as named"),
        ("parameters", f"{verified.parameters:,}"),
        ("source", description.source or "not stated"),
        ("licence", description.licence or "not stated"),
        ("sha256", verified.sha256),
    ):
        typer.echo(f"{heading:<14} {value}")
