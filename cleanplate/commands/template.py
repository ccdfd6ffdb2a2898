"""The commands of ``template``: marks that many pictures share, on this machine, without a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.commands.extras import needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from cleanplate.local import marks
    from model.imaging import Limits

Out = Annotated[Path, typer.Option("--out", "-o", help="Template to write.")]
Sheet = Annotated[Path | None, typer.Option(help="Contact sheet to write.", show_default="beside the template, .png")]
Overwrite = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]

app = typer.Typer(
    help="Marks that many pictures share: estimate them from the pictures, then remove them from each picture.",
    no_args_is_help=True,
)


@app.command(cls=needs("worker"))
def estimate(
    folder: Annotated[Path, typer.Argument(help="Folder of marked pictures, about 20 different ones.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Template to write; further marks go to NAME-2, NAME-3.")],
    sheet: Sheet = None,
    force: Annotated[
        bool, typer.Option("--force", help="Continue with too few pictures, and overwrite existing files.")
    ] = False,
) -> None:
    """Estimate the mark that the pictures of a folder share, with its opacity and colour for every pixel.

    Look at the contact sheet before you use the template: the mask over the mean picture, the opacity, the colour, and
    pictures before and after.

    Example: `cleanplate template estimate catalogue/ -o mark.template`
    """
    from cleanplate.local import marks

    def make(files: list[Path], limits: Limits, on_progress: marks.Progress) -> marks.Estimate:
        return marks.estimate_templates(files, limits, force=force, on_progress=on_progress)

    _write_templates(folder, out, sheet, make, force=force)


@app.command("from-logo", cls=needs("worker"))
def from_logo(
    logo: Annotated[Path, typer.Argument(help="The logo's file: a PNG with transparency.")],
    folder: Annotated[Path, typer.Argument(help="Folder of marked pictures; one picture is enough.")],
    out: Out,
    sheet: Sheet = None,
    force: Overwrite = False,
) -> None:
    """Find a logo in the pictures of a folder: its place, size, opacity and colour.

    Sizes of 0.3 to 3 of the file are searched, and the logo in its own colours, inverted, white and black.

    Example: `cleanplate template from-logo logo.png catalogue/ -o mark.template`
    """
    from cleanplate.local import marks

    def make(files: list[Path], limits: Limits, on_progress: marks.Progress) -> marks.Estimate:
        return marks.template_from_logo(logo, files, limits, on_progress=on_progress)

    _write_templates(folder, out, sheet, make, force=force)


@app.command("from-mark", cls=needs("worker"))
def from_mark(
    picture: Annotated[Path, typer.Argument(help="A marked picture.")],
    mask: Annotated[Path, typer.Argument(help="A picture of the same size, white where the mark is.")],
    folder: Annotated[Path, typer.Argument(help="Folder of pictures with the same mark.")],
    *,
    out: Out,
    sheet: Sheet = None,
    force: Overwrite = False,
) -> None:
    """Find a mark that is painted over in one picture in all pictures of a folder.

    Example: `cleanplate template from-mark shirt.jpg shirt-mask.png catalogue/ -o mark.template`
    """
    from cleanplate.local import marks

    def make(files: list[Path], limits: Limits, on_progress: marks.Progress) -> marks.Estimate:
        return marks.template_from_mark(picture, mask, files, limits, on_progress=on_progress)

    _write_templates(folder, out, sheet, make, force=force)


@app.command(cls=needs("worker"))
def apply(
    template: Annotated[list[Path], typer.Argument(help="One or more templates, then the folder of pictures.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; files keep their names.")],
    weights: Annotated[
        str | None, typer.Option(help="A name from `cleanplate weights list`, or a file.", show_default="as set")
    ] = None,
    network: Annotated[
        bool, typer.Option("--network/--no-network", help="Inpaint the pixels where the mark is dense.")
    ] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Do not write pictures that still show the mark.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Clean pictures again whose result is in OUT.")] = False,
) -> None:
    """Remove the mark of a template from every picture of a folder.

    Pictures without the mark are copied bit for bit. Results that exist in OUT are kept, so that an interrupted run
    resumes. Pictures in which the mark may still show are named and counted as flagged; with --strict they fail. The
    exit status is 1 if a picture failed.

    Example: `cleanplate template apply mark.template catalogue/ -o clean/`
    """
    from cleanplate.base.files import make_folder
    from cleanplate.base.settings import load_settings
    from cleanplate.errors import UsageError
    from cleanplate.local import marks

    if len(template) < 2:
        raise UsageError("Name a template and a folder: `cleanplate template apply mark.template FOLDER -o OUT`.")
    *named, folder = template
    settings = load_settings() if weights is None else load_settings(weights=weights)
    templates = [marks.load(path) for path in named]
    files, others = marks.pictures(folder)
    if out.exists() and out.resolve() == folder.resolve():
        raise UsageError("OUT is the folder of the pictures: choose another, so that the originals stay.")
    _name_others(others)
    make_folder(out)
    counts: dict[str, int] = {}
    with _bars() as progress, marks.fill_of(settings) if network else marks.no_fill() as fill:
        task = progress.add_task("cleaning", total=len(files))
        for outcome in marks.apply_templates(
            files, templates, out, marks.limits_of(settings), fill, strict=strict, force=force
        ):
            counts[outcome.state] = counts.get(outcome.state, 0) + 1
            if outcome.note:
                progress.console.print(f"{outcome.name}: {outcome.note}", highlight=False, markup=False)
            progress.advance(task)
    typer.echo(", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
    looked_at = sum(counts.get(state, 0) for state in ("cleaned", "flagged", "skipped"))
    if counts.get("skipped", 0) > looked_at / 2:
        typer.echo(
            f"warning: the mark was not found in {counts['skipped']} of {looked_at} pictures, which are copied as they "
            "are. If they carry it, make another template of them: `cleanplate template estimate`, `from-logo` or "
            "`from-mark`.",
            err=True,
        )
    if counts.get("flagged"):
        typer.echo(f"warning: in {counts['flagged']} pictures the mark may still show; they are named above.", err=True)
    if counts.get("failed"):
        raise typer.Exit(1)


def _write_templates(
    folder: Path,
    out: Path,
    sheet: Path | None,
    make: Callable[[list[Path], Limits, marks.Progress], marks.Estimate],
    *,
    force: bool,
) -> None:
    """Make the templates of a folder, write them with their contact sheets, and describe them."""
    from cleanplate.base.files import replacing, require_writable
    from cleanplate.base.settings import load_settings
    from cleanplate.errors import UsageError
    from cleanplate.local import marks

    for path in (out, sheet):
        if path is not None and path.exists() and not force:
            raise UsageError(f"{path} exists: choose another name, or overwrite it with --force.")
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"There is no folder {path.parent}.")
        if path is not None:
            require_writable(path.parent)
    limits = marks.limits_of(load_settings())
    files, others = marks.pictures(folder)
    _name_others(others)
    with _bars() as progress:
        task = progress.add_task("reading", total=None)
        estimate_result = make(files, limits, lambda stage, done, total: progress.update(
            task, description=stage, completed=done, total=total
        ))  # fmt: skip
        for number, template in enumerate(estimate_result.templates, 1):
            path = out if number == 1 else out.with_stem(f"{out.stem}-{number}")
            drawn = marks.template_sheet(template, files, limits)
            with replacing(path) as file:
                file.write(template.to_bytes())
            picture = (sheet or out.with_suffix(".png")) if number == 1 else path.with_suffix(".png")
            with replacing(picture) as file:
                file.write(drawn)
            typer.echo(marks.description(path, picture, template))
    for name, reason in estimate_result.unreadable:
        typer.echo(f"left out {name}: {reason}", err=True)
    if estimate_result.duplicates:
        typer.echo(f"left out {estimate_result.duplicates} pictures that are duplicates", err=True)
    for warning in estimate_result.warnings:
        typer.echo(f"warning: {warning}", err=True)


def _name_others(others: list[Path]) -> None:
    if others:
        typer.echo(f"Left out, not pictures by their name: {', '.join(path.name for path in others)}", err=True)


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
