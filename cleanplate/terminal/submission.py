"""A folder of pictures as one job, from the files to the results, with progress bars: what ``submit`` and ``demo`` do.

A journal in the folder of the results says what has been done. After an interruption the same command goes on from
there: nothing that arrived is sent or fetched again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cleanplate.base.masks import JobMask
from cleanplate.client.answers import ImageAnswer, JobAnswer, Rights
from cleanplate.client.http import Client
from cleanplate.client.journal import Journal
from cleanplate.client.requests import Terms
from cleanplate.errors import UsageError
from model.formats import is_picture_name

#: The journal's name in the folder of the results.
JOURNAL = ".cleanplate-submit.jsonl"


@dataclass(frozen=True)
class Work:
    """Pictures and the mask of each; ``left_out`` are files of the folder that are no pictures by their name."""

    pictures: list[Path]
    #: Empty where ``mask`` is the mask of all pictures.
    masks: list[Path]
    left_out: list[Path]
    mask: JobMask | None = None


@dataclass(frozen=True)
class Listed:
    """Pictures that a manifest lists, and the mask of those without their own."""

    manifest: Path
    mask: Path | JobMask | None


@dataclass(frozen=True)
class Report:
    """How a job ended, or that it waits for a person. ``unfinished`` are the images without a result."""

    job: JobAnswer
    results: list[Path]
    unfinished: list[ImageAnswer]


def gather(folder: Path, mask: Path | JobMask) -> Work:
    """The pictures of ``folder``, each with ``mask``, or with the file of its stem where ``mask`` is a folder.

    Raises:
        UsageError: no picture, or a picture without exactly one mask.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    pictures = [path for path in files if is_picture_name(path)]
    if not pictures:
        raise UsageError(f"{folder} holds no pictures.")
    left_out = [path for path in files if path not in set(pictures)]
    if not isinstance(mask, Path):
        return Work(pictures, [], left_out, mask)
    if mask.is_file():
        masks = [mask] * len(pictures)
    elif mask.is_dir():
        masks = _masks_by_stem(mask, pictures)
    else:
        raise UsageError(f"There is no mask {mask}.")
    return Work(pictures, masks, left_out)


def _masks_by_stem(folder: Path, pictures: list[Path]) -> list[Path]:
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.is_file() and is_picture_name(path):
            by_stem[path.stem].append(path)
    wrong = [picture for picture in pictures if len(by_stem[picture.stem]) != 1]
    if wrong:
        shown = ", ".join(picture.name for picture in wrong[:5]) + (f" and {len(wrong) - 5} more" * (len(wrong) > 5))
        raise UsageError(
            f"{folder} must hold exactly one mask of the same stem for each picture; it does not for {shown}."
        )

    return [by_stem[picture.stem][0] for picture in pictures]


def clean(
    client: Client,
    work: Work | Listed,
    out: Path,
    *,
    rights: Rights,
    console: Console,
    approve: bool = False,
    **terms: Unpack[Terms],
) -> Report:
    """Submit the work as one job, wait for its end, and write the results into ``out`` (made if missing).

    A job that comes to wait for a person is left so, and reported. ``approve``: one that was left so
    begins.
    ``terms`` are those of :meth:`Client.submit`.

    Raises:
        UsageError: ``out`` is the folder of the pictures or masks, among which results do not belong.
        ClientError: the service refused, or could not be reached.
    """
    files = [*work.pictures, *work.masks] if isinstance(work, Work) else []
    if out.resolve() in {path.parent.resolve() for path in files}:
        raise UsageError(f"{out} holds the input: choose another folder for the results.")
    out.mkdir(parents=True, exist_ok=True)
    journal = Journal(out / JOURNAL)
    with Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        console=console,
    ) as progress:
        uploading = progress.add_task("Uploading", total=len(set(files)) or None, pace="")

        def sent(count: int) -> None:
            progress.advance(uploading, count)

        if isinstance(work, Work):
            job = client.submit(
                work.pictures,
                masks=work.masks,
                mask=work.mask,
                rights=rights,
                journal=journal,
                on_uploaded=sent,
                **terms,
            )
        else:
            job = client.submit_manifest(
                work.manifest,
                mask=work.mask,
                rights=rights,
                journal=journal,
                on_uploaded=sent,
                **terms,
            )
        progress.console.print(f"Job {job.id}")
        if approve and job.refresh().state == "needs_review":
            job.approve()
        cleaning = progress.add_task("Cleaning", total=job.total, pace="")

        def moved(now: JobAnswer) -> None:
            doing = "Looking" if now.state == "estimating" else "Cleaning"
            progress.update(cleaning, description=doing, completed=now.counts.ended, pace=pace(now))

        job.wait(on_change=moved, or_review=True)
        if not job.ended:
            # The journal stays: the same command goes on with this job.
            return Report(job.answer, [], [])
        images = list(job.images())
        unfinished = [image for image in images if not image.result_url]
        fetching = progress.add_task("Fetching", total=len(images) - len(unfinished), pace="")
        files_of = job.download(out, on_done=lambda count: progress.advance(fetching, count))
    journal.close()
    return Report(job.answer, sorted(files_of.values()), unfinished)


def watched(client: Client, job_id: str, console: Console, *, on_review: Callable[[JobAnswer], str]) -> JobAnswer:
    """The job at its end, having shown its progress until then, and what ``on_review`` says when it waits for a person.

    Raises:
        ClientError: there is no such job (any more), or the service could not be reached.
    """
    job = client.job(job_id)
    with Progress(
        TextColumn("{task.fields[state]:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        console=console,
    ) as progress:
        shown = progress.add_task("", total=job.total, state=job.state, pace="")
        told = False
        for job in client.events(job_id):
            if job.state == "needs_review" and not told:
                # Not folded: there is a command in it, to be copied.
                progress.console.print(on_review(job), highlight=False, markup=False, soft_wrap=True)
                told = True
            progress.update(shown, completed=job.counts.ended, state=job.state, pace=pace(job))
    return job if job.ended else client.job(job_id)


def pace(job: JobAnswer) -> str:
    """Throughput and time left, in words: ``1.3 images/s, 12 s left``."""
    parts = []
    if job.images_per_second is not None:
        parts.append(f"{job.images_per_second:.2g} images/s")
    if job.eta_s is not None and not job.ended:
        parts.append(f"{duration(job.eta_s)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """``42 s``, ``12 min`` or ``3 h 05 min``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"
