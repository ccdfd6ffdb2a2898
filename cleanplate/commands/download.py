"""``download``: the results of a job, by file or as one ZIP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def download(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="The job, by its id.")],
    *,
    out: Annotated[
        Path,
        typer.Option(help="Folder for the results, which keep the pictures' paths; or a file `….zip`."),
    ],
) -> None:
    """Fetch the results of a job, once it has ended.

    After an interruption the same command continues: a ZIP from its last byte that arrived, a folder with the files
    that it lacks. No file of a folder is ever overwritten. Exit status: 0 if every image has a result, 1 if some have
    none.

    Example: `cleanplate download job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f --out clean.zip`
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cleanplate.terminal.connection import connect
    from cleanplate.terminal.differences import differences

    with connect() as client:
        job = client.handle(job_id)
        if out.suffix.lower() == ".zip":
            job.wait()
            out.parent.mkdir(parents=True, exist_ok=True)
            client.archive(job_id, out)
        else:
            columns = (TextColumn("Fetching"), BarColumn(), MofNCompleteColumn())
            with Progress(*columns, console=Console(stderr=True)) as progress:
                bar = progress.add_task("", total=job.counts.succeeded + job.counts.skipped or None)
                job.download(out, on_done=lambda count: progress.advance(bar, count))
        sentences = differences(job.images())
    counts = job.counts
    typer.echo(f"{counts.succeeded + counts.skipped} of {job.total} images have a result, in {out}.")
    for sentence in sentences:
        typer.echo(sentence)
    if counts.failed or counts.canceled:
        raise typer.Exit(1)
