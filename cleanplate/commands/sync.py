"""``sync``: a folder of clean pictures that follows a folder of marked ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.commands.submit import Basis

if TYPE_CHECKING:
    from cleanplate.base.masks import JobMask
    from cleanplate.client.requests import Terms


def sync(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the marked pictures, with subfolders.")],
    *,
    to: Annotated[str, typer.Option(help="Folder for the results; or `s3://bucket/prefix/` of an allowed bucket.")],
    rights_basis: Annotated[Basis, typer.Option(help="The right by which the marks may be removed.")],
    attested_by: Annotated[str, typer.Option(help="Name of the person who answers for that right.")],
    rights_reference: Annotated[str, typer.Option(help="Document that grants the right.")],
    mask: Annotated[Path | None, typer.Option(help="Mask for all pictures (white: repair, black: keep).")] = None,
    template: Annotated[str | None, typer.Option(help="Instead of a mask: a template, by its id.")] = None,
    glob: Annotated[
        list[str] | None, typer.Option(help="Only pictures whose path or name matches; may be given again.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name for the job; the folder's if missing.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="A label of the job; may be given again.")] = None,
) -> None:
    """Clean the pictures of a folder that are new or changed since the last run, and skip what was done.

    A record in the folder of the results (of the pictures, where results go into a bucket) has the SHA-256 of each
    picture. A result of a changed picture replaces the one before. Made for a nightly run.
    Exit status: 0 if every new picture has a result, 1 if some have none (they are listed, and new again next time).

    Example: `cleanplate sync media/catalog/product --to clean/ --mask mask.png --rights-basis owner
    --attested-by "Jo Doe" --rights-reference "own photographs"`
    """
    from cleanplate.base.masks import TemplateMask
    from cleanplate.client.answers import Rights
    from cleanplate.errors import UsageError
    from cleanplate.terminal.connection import connect
    from cleanplate.terminal.folders import walk_pictures
    from cleanplate.terminal.submission import pace
    from cleanplate.terminal.syncing import RECORD, Record
    from cleanplate.terminal.syncing import sync as sync_folder

    if (mask is None) == (template is None):
        raise UsageError("Give either --mask or --template.")
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.")
    chosen: Path | JobMask = mask if mask is not None else TemplateMask(template=template or "")
    out = None if to.startswith("s3://") else Path(to)
    if out is not None:
        if out.resolve() == folder.resolve():
            raise UsageError(f"{out} holds the input: choose another folder for the results.")
        out.mkdir(parents=True, exist_ok=True)
    walk = walk_pictures(folder, globs=glob or (), apart=[] if out is None else [out])
    for group in walk.left_out:
        typer.echo(f"Left out: {group.text(folder)}", err=True)
    pictures = [picture for picture in walk.pictures if mask is None or not picture.samefile(mask)]
    terms: Terms = {"name": name or folder.resolve().name[:200], "labels": label}
    if out is None:
        terms["destination"] = to if "{" in to else f"{to.rstrip('/')}/{{path}}"
    with connect() as client:
        report = sync_folder(
            client,
            folder,
            pictures,
            chosen,
            Record((folder if out is None else out) / RECORD),
            out=out,
            rights=Rights(basis=rights_basis.value, attested_by=attested_by, reference=rights_reference),
            on_job=lambda job: typer.echo(f"{job.id}: {job.counts.ended} of {job.total}  {pace(job)}", err=True),
            **terms,
        )
    for image in report.unfinished:
        reason = f"{image.error.code}: {image.error.detail}" if image.error else image.state
        typer.echo(f"{image.path or image.name}  {reason}", err=True)
    typer.echo(f"{report.cleaned} pictures are clean, {report.skipped} were done before, in {to}.")
    if report.unfinished:
        raise typer.Exit(1)
