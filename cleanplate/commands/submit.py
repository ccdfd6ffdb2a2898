"""``submit``, ``watch`` and ``approve``: one job from the pictures to the results, over the API."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.commands.inpaint import ANY_TEXT, AREA, TEXT
from cleanplate.commands.tenant_jobs import metadata_of

if TYPE_CHECKING:
    from cleanplate.base.masks import AutoMask, JobMask, TextMask
    from cleanplate.client.answers import JobAnswer
    from cleanplate.client.http import Client
    from cleanplate.client.requests import LogoMark, Terms
    from cleanplate.terminal.submission import Report


class Basis(StrEnum):
    """The right by which marks are removed."""

    OWNER = "owner"
    LICENSEE = "licensee"
    AUTHORISED_AGENT = "authorised_agent"


class Urgency(StrEnum):
    """The priority of a job."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


def submit(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|MANIFEST|s3://…",
            help="Folder of the pictures; a file that lists them, CSV or JSON Lines, by `url` or `upload_id`; or "
            "`s3://bucket/prefix/` of a bucket that the service may read.",
        ),
    ],
    *,
    rights_basis: Annotated[Basis, typer.Option(help="The right by which the marks may be removed.")],
    attested_by: Annotated[str, typer.Option(help="Name of the person who answers for that right.")],
    rights_reference: Annotated[
        str, typer.Option(help="Document that grants the right: a licence, a contract, an order.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results, which keep the pictures' folders and names.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="s3://…",
            help="Bucket into which the service writes each result: `s3://bucket/prefix/`, or with places in braces. "
            "In place of --out, or beside it.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Submit nothing, and tell what the job would be.")] = False,
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Mask for all pictures (white: repair, black: keep), or a folder with a mask of the same stem for "
            "each. Rows of a manifest can have masks of their own instead."
        ),
    ] = None,
    find_mark: Annotated[
        bool,
        typer.Option(
            "--find-mark",
            help="Instead of a mask: find the mark that the pictures share, for you to review first.",
        ),
    ] = False,
    logo: Annotated[
        Path | None,
        typer.Option(
            help="Instead of a mask: the mark's own file, a PNG with transparency; it is found in the pictures, of "
            "which one is enough, for you to review first."
        ),
    ] = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="After your review: start the job that an earlier call left waiting.")
    ] = False,
    auto_approve: Annotated[
        bool,
        typer.Option(
            "--auto-approve", help="With --find-mark or --logo: start without a review if the confidence is high."
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="With --find-mark or --logo: continue, with a warning, if there are too few pictures."
        ),
    ] = False,
    text: Annotated[list[str] | None, typer.Option(help=TEXT)] = None,
    area: Annotated[list[str] | None, typer.Option(help=AREA)] = None,
    any_text: Annotated[bool, typer.Option("--any-text", help=ANY_TEXT)] = False,
    recursive: Annotated[
        bool, typer.Option("--recursive/--no-recursive", help="Also the pictures of subfolders.")
    ] = True,
    glob: Annotated[
        list[str] | None,
        typer.Option(help="Only pictures whose path or name matches, for example `shirts/*.jpg`; may be given again."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name for the job; the folder's if missing.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="A label of the job; may be given again.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=TEXT", help="A text of your own; may be given again.")
    ] = None,
    webhook_id: Annotated[
        str | None, typer.Option(help="Webhook endpoint (of POST /v1/webhooks) that gets the events.")
    ] = None,
    mail: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address that is mailed at the end, among those that the service allows."),
    ] = None,
    priority: Annotated[Urgency, typer.Option(help="`interactive` overtakes `bulk`.")] = Urgency.BULK,
    deadline: Annotated[
        datetime | None,
        typer.Option(
            help="Images that wait for a worker at this time fail; local time where no zone is given.",
            formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z"],
        ),
    ] = None,
    retention_days: Annotated[
        int | None,
        typer.Option(min=1, help="Days from its end until the job is deleted.", show_default="the service's choice"),
    ] = None,
) -> None:
    """Send pictures as one job, wait for it, and fetch the results.

    After an interruption (Ctrl-C, a lost connection, a reboot) the same command resumes. A journal in the folder of the
    results (without --out: of the pictures) lists the files that arrived and the job, so that no file is sent twice
    and no second job is made. Results that exist are not fetched again. No file is ever overwritten: a result whose
    name another file has gets a number. A job from a bucket into a bucket goes on without this command.

    Uses the service at `CLEANPLATE_URL` with the key in `CLEANPLATE_API_KEY`, or else the one of `cleanplate up`.
    Exit status: 0 if every image has a result, 1 if some have none (they are listed), 2 if the job could not be done,
    3 if it waits for your review of the mark: then the same command with `--approve` continues.

    Example: `cleanplate submit catalogue/ --mask logo-mask.png --out clean/ --rights-basis owner
    --attested-by "Jo Doe" --rights-reference "own photographs"`;
    with `--find-mark`, `--logo logo.png`, or `--text "Doe Shirts" --area bottom`, in place of `--mask` you paint none.
    A whole bucket: `cleanplate submit s3://catalogue/spring/ --to s3://catalogue/clean/ --mask logo-mask.png …`
    """
    from rich.console import Console

    from cleanplate.client.answers import Rights
    from cleanplate.errors import UsageError
    from cleanplate.terminal.buckets import destination_of, left_out_lines, name_of
    from cleanplate.terminal.connection import connect
    from cleanplate.terminal.dry_runs import dry_run_lines
    from cleanplate.terminal.submission import Work, clean, work_of
    from cleanplate.terminal.text_marks import text_mask

    found_mask = _found_mask(logo, find_mark=find_mark, auto_approve=auto_approve, force=force)
    chosen_mask = _only_mask(mask, found_mask, text_mask(text or (), area or (), any_text=any_text))
    if out is None and to is None and not dry_run:
        raise UsageError("Say where the results go: --out FOLDER, or --to s3://bucket/prefix/.")
    work = work_of(source, chosen_mask, recursive=recursive, globs=glob or (), apart=out)
    if isinstance(work, Work):
        for group in work.left_out:
            typer.echo(f"Left out: {group.text(work.folder)}", err=True)
    rights = Rights(basis=rights_basis.value, attested_by=attested_by, reference=rights_reference)
    terms: Terms = {
        "name": name or name_of(source),
        "labels": label,
        "metadata": metadata_of(metadata) or None,
        "destination": None if to is None else destination_of(to),
        "webhook_id": webhook_id,
        "mail": None if mail is None else {"to": mail},
        "priority": priority.value,
        "deadline": deadline,
        "retention_days": retention_days,
    }
    with connect() as client:
        if dry_run:
            for line in dry_run_lines(client, work, rights=rights, **terms):
                typer.echo(line)
            return
        report = clean(client, work, out, rights=rights, console=Console(stderr=True), approve=approve, **terms)
        if report.job.state == "needs_review":
            _ask_for_review(client, report.job, out)
            raise typer.Exit(3)
        if report.job.rows_skipped:
            for line in left_out_lines(client.skipped(report.job.id), report.job.rows_skipped):
                typer.echo(line, err=True)
    _tell(report, " and ".join(str(place) for place in (out, to) if place))
    if isinstance(work, Work) and work.left_out:
        count = sum(len(group.paths) for group in work.left_out)
        typer.echo(f"{count} files or folders of {source} were left out; see above.")
    if report.unfinished:
        raise typer.Exit(1)


def _ask_for_review(client: Client, job: JobAnswer, out: Path | None) -> None:
    """Print where the found marks are to be looked at, and how to go on."""
    from cleanplate.terminal.reviewing import fetch_previews, marks_description, next_steps

    marks = {} if out is None else fetch_previews(client, job, out)
    if marks:
        typer.echo(marks_description(marks))
    typer.echo(next_steps(job, f"{client.url}/jobs/{job.id}"))
    if marks:
        typer.echo("Or repeat this command with --approve.")
    elif job.review and job.review.error and job.review.error.code == "samples_too_few":
        typer.echo("Or repeat this command with --force, to continue with these few pictures.")


def _tell(report: Report, where: str) -> None:
    """Print the images without a result, the number of the others, and where they differ from their sources."""
    for image in report.unfinished:
        reason = f"{image.error.code}: {image.error.detail}" if image.error else image.state
        typer.echo(f"{image.path or image.name}  {reason}", err=True)
    done = report.job.total - len(report.unfinished)
    typer.echo(f"{done} of {report.job.total} images are clean, in {where}.")
    for sentence in report.differences:
        typer.echo(sentence)


def _found_mask(logo: Path | None, *, find_mark: bool, auto_approve: bool, force: bool) -> AutoMask | LogoMark | None:
    """The mask of ``--find-mark`` or ``--logo``.

    Raises UsageError: both are given, or an option that belongs to them stands alone.
    """
    from cleanplate.base.masks import Approval, AutoMask
    from cleanplate.client.requests import LogoMark
    from cleanplate.errors import UsageError

    if find_mark and logo is not None:
        raise UsageError("Give only one of --find-mark and --logo.")
    if not find_mark and logo is None:
        if auto_approve or force:
            raise UsageError(f"{'--auto-approve' if auto_approve else '--force'} belongs to --find-mark or --logo.")
        return None
    approval = Approval(approve="auto" if auto_approve else "person", force=force)
    if logo is not None:
        return LogoMark(logo, approval)
    return AutoMask(mode="auto", approve=approval.approve, force=approval.force)


def _only_mask(
    file: Path | None, found: AutoMask | LogoMark | None, text: TextMask | None
) -> Path | JobMask | LogoMark | None:
    """The mask that the options name. Raises UsageError: they name several."""
    from cleanplate.errors import UsageError

    if sum(mask is not None for mask in (file, found, text)) > 1:
        raise UsageError("Give only one of --mask, --find-mark, --logo, and --text with --area.")
    return file or found or text


def approve(
    job_id: Annotated[str, typer.Argument(help="The job that waits in needs_review.")],
    template: Annotated[
        list[str] | None,
        typer.Option(help="Start with this template; may be given several times.", show_default="the marks found"),
    ] = None,
) -> None:
    """Start a job after a review of the mark that was found in its pictures.

    Example: `cleanplate approve job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f`
    """
    from cleanplate.terminal.connection import connect

    with connect() as client:
        job = client.approve(job_id, template)
    typer.echo(f"{job_id} is {job.state}. Follow it with `cleanplate watch {job_id}`.")


def watch(
    job_id: Annotated[str | None, typer.Argument(help="The job; without it all open jobs, until Ctrl-C.")] = None,
) -> None:
    """Follow a job live until its end; or all jobs, with a line for each change.

    Survives restarts of the service. Exit status: 0 if every image succeeded, 1 if some did not, 2 if there is no such
    job or no answer.

    Example: `cleanplate watch job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f`
    """
    from cleanplate.terminal.connection import connect
    from cleanplate.terminal.differences import differences
    from cleanplate.terminal.reviewing import next_steps
    from cleanplate.terminal.submission import pace, watch_job

    with connect() as client:
        if job_id is None:
            for job in client.all_events():
                typer.echo(f"{job.id}  {job.state}  {job.counts.ended}/{job.total}  {pace(job)}".rstrip())
            return
        from rich.console import Console

        ended = watch_job(
            client,
            job_id,
            Console(stderr=True),
            on_review=lambda job: next_steps(job, f"{client.url}/jobs/{job.id}"),
        )
        sentences = differences(client.images(job_id))
    counts = ", ".join(f"{count} {state}" for state, count in ended.counts.model_dump().items() if count)
    typer.echo(f"{job_id} is {ended.state}: {counts}.")
    for sentence in sentences:
        typer.echo(sentence)
    if ended.counts.failed or ended.counts.canceled:
        raise typer.Exit(1)
