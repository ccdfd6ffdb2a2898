"""``jobs list|show|cancel|retry|pause|resume|delete``: the jobs of the key's tenant, over the API."""

from __future__ import annotations

from enum import StrEnum
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
    state: Annotated[State | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most jobs to list.")] = LISTED,
) -> None:
    """List the newest jobs.

    Example: `cleanplate jobs list --state running`
    """
    from itertools import islice

    from cleanplate.terminal.connection import connect
    from cleanplate.terminal.tables import minute, print_table

    with connect() as client:
        listed = list(islice(client.jobs(state=None if state is None else state.value), limit))
        print_table(
            ("id", "state", "images", "ended", "failed", "made"),
            (
                (
                    job.id,
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
    return f"{job.id} is {job.state}: {job.counts.ended} of {job.total} images ended."
