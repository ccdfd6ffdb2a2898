"""``jobs list|find|label|show|judge|redo|cancel|retry|pause|resume|delete``: the jobs of the key's tenant."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cleanplate.client.answers import JobAnswer
    from cleanplate.client.http import Client

LISTED = 50


class State(StrEnum):
    """The states of a job, as the client names them."""

    ESTIMATING = "estimating"
    NEEDS_REVIEW = "needs_review"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELED = "canceled"


class Kind(StrEnum):
    """The kinds of jobs in a list."""

    CATALOGUE = "catalogue"
    REPAIR = "repair"
    ANY = "any"


class ImageStates(StrEnum):
    """The states of an image, as the client names them."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELED = "canceled"


class Judgement(StrEnum):
    """A person's judgement of a result."""

    UNSEEN = "unseen"
    KEPT = "kept"
    REJECTED = "rejected"


JobIds = Annotated[list[str], typer.Argument(metavar="JOB...", help="One or more jobs, by their ids.")]

app = typer.Typer(help="The jobs of your key's tenant. Without a command: the newest ones.")


@app.callback(invoke_without_command=True)
def jobs(context: typer.Context) -> None:
    """The jobs of your key's tenant. Without a command: the newest ones.

    Example: `cleanplate jobs`
    """
    if context.invoked_subcommand is None:
        list_()


@app.command(name="list")
def list_(
    *,
    state: Annotated[State | None, typer.Option(help="Only jobs in this state.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Only jobs with this label; may be given again.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=TEXT", help="Only jobs with this text; may be given again.")
    ] = None,
    words: Annotated[str | None, typer.Option("--name", help="Only jobs whose name contains these words.")] = None,
    after: Annotated[datetime | None, typer.Option(help="Only jobs made at this time or later, local time.")] = None,
    before: Annotated[datetime | None, typer.Option(help="Only jobs made before this time, local time.")] = None,
    kind: Annotated[Kind, typer.Option(help="Jobs of catalogues, repairs of the page, or both.")] = Kind.CATALOGUE,
    oldest: Annotated[bool, typer.Option("--oldest", help="The oldest job first.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most jobs to list.")] = LISTED,
) -> None:
    """List the newest jobs.

    Example: `cleanplate jobs list --state running --label spring`
    """
    from itertools import islice

    from cleanplate.terminal.connection import connect
    from cleanplate.terminal.tables import minute, print_table

    with connect() as client:
        jobs = client.jobs(
            order="oldest" if oldest else "newest",
            state=None if state is None else state.value,
            kind=kind.value,
            labels=label or (),
            metadata=metadata_of(metadata),
            words=words,
            created_after=after,
            created_before=before,
        )
        listed = list(islice(jobs, limit))
        print_table(
            ("id", "name", "state", "images", "ended", "failed", "made"),
            (
                (
                    job.id,
                    job.name or "",
                    job.state,
                    str(job.total),
                    str(job.counts.ended),
                    str(job.counts.failed),
                    minute(job.created_at),
                )
                for job in listed
            ),
        )
        if any(job.finished_at is None for job in listed):
            _warn_without_worker(client)


def metadata_of(texts: list[str] | None) -> dict[str, str]:
    """The metadata of options ``KEY=TEXT``. Raises UsageError: one has another form."""
    from cleanplate.errors import UsageError

    pairs = [text.partition("=") for text in texts or ()]
    for key, equals, value in pairs:
        if not key or not equals:
            raise UsageError(f"{key + equals + value!r} is not of the form KEY=TEXT.")
    return {key: value for key, _, value in pairs}


@app.command()
def find(
    *,
    name: Annotated[str | None, typer.Option(help="Words of the image's name or custom_id.")] = None,
    custom_id: Annotated[str | None, typer.Option(help="The image's custom_id.")] = None,
    file: Annotated[Path | None, typer.Option(help="A result's file: which job made it?")] = None,
    state: Annotated[ImageStates | None, typer.Option(help="Only images in this state.")] = None,
    job_label: Annotated[list[str] | None, typer.Option(help="Only images of jobs with this label.")] = None,
    job_name: Annotated[str | None, typer.Option(help="Only images of jobs whose name contains these words.")] = None,
    after: Annotated[datetime | None, typer.Option(help="Only of jobs made at this time or later.")] = None,
    before: Annotated[datetime | None, typer.Option(help="Only of jobs made before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most images to list.")] = LISTED,
) -> None:
    """Find images in all jobs.

    Example: `cleanplate jobs find --state failed --job-label spring --after 2026-05-01`
    """
    from itertools import islice

    from cleanplate.client.job import sha256_of
    from cleanplate.errors import UsageError
    from cleanplate.terminal.connection import connect
    from cleanplate.terminal.tables import print_table

    if file is not None and not file.is_file():
        raise UsageError(f"There is no file {file}.")
    with connect() as client:
        images = client.find_images(
            sha256=None if file is None else sha256_of(file),
            job={
                "kind": "any",
                "labels": job_label or (),
                "words": job_name,
                "created_after": after,
                "created_before": before,
            },
            state=None if state is None else state.value,
            custom_id=custom_id,
            words=name,
        )
        print_table(
            ("image", "job", "name", "custom_id", "state", "reason"),
            (
                (
                    image.id,
                    image.job_id,
                    image.name,
                    image.custom_id or "",
                    image.state,
                    image.error.code if image.error else "",
                )
                for image in islice(images, limit)
            ),
        )


@app.command()
def label(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="The job, by its id.")],
    name: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Its labels from now on; may be given again.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=TEXT", help="Its metadata from now on; may be given again.")
    ] = None,
) -> None:
    """Rename or label a job; what is not given stays.

    Example: `cleanplate jobs label job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f --name "Spring, shirts" --label spring`
    """
    from cleanplate.terminal.connection import connect

    with connect() as client:
        job = client.describe(job_id, name=name, labels=label, metadata=metadata_of(metadata) or None)
    typer.echo(_summary(job))


@app.command()
def show(job_id: Annotated[str, typer.Argument(metavar="JOB", help="The job, by its id.")]) -> None:
    """Show one job and its failed images.

    Example: `cleanplate jobs show job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f`
    """
    from cleanplate.terminal.connection import connect
    from cleanplate.terminal.submission import pace

    with connect() as client:
        job = client.job(job_id)
        typer.echo(f"{_summary(job)} {pace(job)}".rstrip())
        typer.echo(", ".join(f"{count} {state}" for state, count in job.counts.model_dump().items() if count))
        for line in client.errors(job_id):
            typer.echo(f"{line.name}  {line.error.code}: {line.error.detail}")
        if job.finished_at is None:
            _warn_without_worker(client)


@app.command()
def cancel(job_ids: JobIds) -> None:
    """Cancel jobs: images that have not ended end as canceled. Results that exist stay.

    Example: `cleanplate jobs cancel job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f`
    """
    from cleanplate.terminal.connection import connect

    with connect() as client:
        for job_id in job_ids:
            typer.echo(_summary(client.cancel(job_id)))


@app.command()
def retry(job_ids: JobIds) -> None:
    """Queue the failed images of jobs again.

    Example: `cleanplate jobs retry job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f`
    """
    from cleanplate.terminal.connection import connect

    with connect() as client:
        for job_id in job_ids:
            typer.echo(_summary(client.retry(job_id)))


@app.command()
def judge(
    image_ids: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="One or more images, by their ids.")],
    review: Annotated[Judgement, typer.Option(help="What you think of their results.")],
    note: Annotated[str | None, typer.Option(help="Why, for people.")] = None,
) -> None:
    """Judge results: `jobs redo` does rejected images again.

    Example: `cleanplate jobs judge img_019aab5d10447d3fa0c1b2d3e4f5a697 --review rejected --note "Smeared collar"`
    """
    from cleanplate.terminal.connection import connect

    with connect() as client:
        for image_id in image_ids:
            image = client.review(image_id, review.value, note=note)
            typer.echo(f"{image.id}, {image.name}, is {image.review}.")


@app.command()
def redo(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="The job, by its id.")],
    *,
    image: Annotated[
        list[str] | None,
        typer.Option(help="An image, by its id; may be given again.", show_default="the rejected ones"),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="The images that failed.")] = False,
    mask: Annotated[Path | None, typer.Option(help="Another mask for these images.")] = None,
    template: Annotated[str | None, typer.Option(help="Another template for these images, by its id.")] = None,
    beside: Annotated[
        bool, typer.Option("--beside", help="Keep the job's results; the new ones stand beside them.")
    ] = False,
) -> None:
    """Do images of a job again, as a child job whose results replace the job's.

    Example: `cleanplate jobs redo job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f --mask better-mask.png`
    """
    from cleanplate.errors import UsageError
    from cleanplate.terminal.connection import connect

    if mask is not None and template is not None:
        raise UsageError("Give either --mask or --template.")
    if image and failed:
        raise UsageError("Give either --image or --failed.")
    with connect() as client:
        child = client.redo(
            job_id,
            images=image or None,
            state="failed" if failed else None,
            mask=mask if template is None else {"template": template},
            replace=not beside,
        )
    typer.echo(f"{_summary(child.answer)} Follow it with `cleanplate watch {child.id}`.")


@app.command()
def pause(job_ids: JobIds) -> None:
    """Pause jobs. Running images go back to the queue and lose no attempt. Needs a key with the scope admin.

    Example: `cleanplate jobs pause job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f`
    """
    from cleanplate.terminal.connection import connect

    with connect() as client:
        for job_id in job_ids:
            client.pause(job_id)
            typer.echo(f"{job_id} is paused.")


@app.command()
def resume(job_ids: JobIds) -> None:
    """Resume jobs. A job stays paused while its tenant or the whole service is. Needs a key with the scope admin.

    Example: `cleanplate jobs resume job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f`
    """
    from cleanplate.terminal.connection import connect

    with connect() as client:
        for job_id in job_ids:
            job = client.resume(job_id)
            typer.echo(f"{job_id} is still paused, with its tenant or the service." if job.paused else _summary(job))


@app.command()
def delete(
    job_ids: JobIds, yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without a question.")] = False
) -> None:
    """Delete jobs with their pictures and results. Images that have not ended are canceled.

    Example: `cleanplate jobs delete job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f --yes`
    """
    from cleanplate.terminal.connection import connect

    if not yes:
        typer.confirm(f"Delete {', '.join(job_ids)} with all pictures and results?", abort=True)
    with connect() as client:
        for job_id in job_ids:
            client.delete(job_id)
            typer.echo(f"{job_id} is deleted.")


def _warn_without_worker(client: Client) -> None:
    """Tell on standard error that open jobs wait because no worker, or no dispatcher, is running."""
    readiness = client.readiness()
    if readiness.workers == 0:
        sentences = ["No worker is running: open jobs wait for one."]
    elif readiness.reason == "dispatch_down":
        sentences = ["The dispatcher is not running: open jobs wait for it."]
    else:
        return
    if readiness.workers == 0 and readiness.starting:
        sentences.append("One is starting.")
    if readiness.reason:
        sentences.append(
            f"The last reason known is {readiness.reason}: on the service's machine, `cleanplate worker --status` and "
            "`cleanplate doctor` say more."
        )
    typer.echo(" ".join(sentences), err=True)


def _summary(job: JobAnswer) -> str:
    """``job_1 is running: 3 of 8 images ended.``"""
    name = f", {job.name}," if job.name else ""
    return f"{job.id}{name} is {job.state}: {job.counts.ended} of {job.total} images ended."
