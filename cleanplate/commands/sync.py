"""``sync``: a folder or bucket of clean pictures that follows one of marked pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.commands.submit import Basis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cleanplate.base.masks import JobMask
    from cleanplate.client.answers import JobAnswer
    from cleanplate.client.requests import Terms


def sync(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|s3://…",
            help="Folder of the marked pictures, with subfolders; or `s3://bucket/prefix/` of an allowed bucket.",
        ),
    ],
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
    """Clean the pictures of a folder or a bucket that are new or changed since the last run, and skip what was done.

    Of a folder, a record in the folder of the results (of the pictures, where results go into a bucket) has the SHA-256
    of each picture. Of a bucket, whose results go into a bucket too, each result's metadata name the version of its
    source (S3's ETag). A result of a changed picture replaces the one before. Made for a nightly run.
    Exit status: 0 if every new picture has a result, 1 if some have none (they are listed, and new again next time).

    Example: `cleanplate sync media/catalog/product --to clean/ --mask mask.png --rights-basis owner
    --attested-by "Jo Doe" --rights-reference "own photographs"`
    """
    from cleanplate.base.masks import TemplateMask
    from cleanplate.client.answers import Rights
    from cleanplate.errors import UsageError
    from cleanplate.terminal.buckets import destination_of, is_bucket, name_of
    from cleanplate.terminal.connection import connect
    from cleanplate.terminal.submission import pace
    from cleanplate.terminal.syncing import sync_bucket, sync_folder

    if (mask is None) == (template is None):
        raise UsageError("Give either --mask or --template.")
    chosen: Path | JobMask = mask if mask is not None else TemplateMask(template=template or "")
    rights = Rights(basis=rights_basis.value, attested_by=attested_by, reference=rights_reference)
    terms: Terms = {"name": name or name_of(source), "labels": label}
    if is_bucket(to):
        terms["destination"] = destination_of(to)

    def on_job(job: JobAnswer) -> None:
        typer.echo(f"{job.id}: {job.counts.ended} of {job.total}  {pace(job)}", err=True)

    if is_bucket(source):
        if not is_bucket(to):
            raise UsageError("A bucket is synced into a bucket: give --to s3://bucket/prefix/.")
        if glob:
            raise UsageError("--glob chooses from a folder of this machine: name a narrower prefix.")
        with connect() as client:
            report = sync_bucket(client, source, chosen, rights=rights, on_job=on_job, **terms)
    else:
        folder, out = Path(source), None if is_bucket(to) else Path(to)
        pictures = _pictures(folder, out, glob or (), mask)
        with connect() as client:
            report = sync_folder(client, folder, pictures, chosen, out=out, rights=rights, on_job=on_job, **terms)
    for line in report.left_out:
        typer.echo(line, err=True)
    for image in report.unfinished:
        reason = f"{image.error.code}: {image.error.detail}" if image.error else image.state
        typer.echo(f"{image.path or image.name}  {reason}", err=True)
    before = "" if report.skipped is None else f", {report.skipped} were done before"
    typer.echo(f"{report.cleaned} pictures are clean{before}, in {to}.")
    if report.unfinished:
        raise typer.Exit(1)


def _pictures(folder: Path, out: Path | None, globs: Sequence[str], mask: Path | None) -> list[Path]:
    """The pictures of the folder, and the folder of the results made. Raises UsageError: one of the two is no use."""
    from cleanplate.errors import UsageError
    from cleanplate.terminal.folders import walk_pictures

    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.")
    if out is not None:
        if out.resolve() == folder.resolve():
            raise UsageError(f"{out} holds the input: choose another folder for the results.")
        out.mkdir(parents=True, exist_ok=True)
    walk = walk_pictures(folder, globs=globs, apart=[] if out is None else [out])
    for group in walk.left_out:
        typer.echo(f"Left out: {group.text(folder)}", err=True)
    return [picture for picture in walk.pictures if mask is None or not picture.samefile(mask)]
