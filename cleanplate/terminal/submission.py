"""Submits a folder of pictures as one job, with progress bars, and fetches the results: for ``submit`` and ``demo``.

A journal in the folder of the results notes each step. After an interruption the same command resumes: it sends and
fetches only missing files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cleanplate.base.files import make_folder
from cleanplate.base.masks import JobMask
from cleanplate.client.answers import ImageAnswer, JobAnswer, Rights
from cleanplate.client.http import Client
from cleanplate.client.journal import Journal
from cleanplate.client.requests import LogoMark, Picture, Terms, mask_files
from cleanplate.errors import UsageError
from cleanplate.terminal.buckets import is_bucket
from cleanplate.terminal.differences import differences
from cleanplate.terminal.folders import LeftOut, walk_pictures

#: The journal's name in the folder of the results.
JOURNAL = ".cleanplate-submit.jsonl"


@dataclass(frozen=True)
class Work:
    """The pictures of a folder and the mask of each."""

    folder: Path
    pictures: list[Path]
    #: Empty where ``mask`` is the mask of all pictures.
    masks: list[Path]
    left_out: list[LeftOut]
    mask: JobMask | LogoMark | None = None

    def path_of(self, picture: Path) -> str:
        """Where a picture lies in the folder, with slashes."""
        return picture.relative_to(self.folder).as_posix()


@dataclass(frozen=True)
class Listed:
    """Pictures that a manifest lists, and the mask of rows without their own."""

    manifest: Path
    mask: Path | JobMask | LogoMark | None


@dataclass(frozen=True)
class Listing:
    """Every picture under a prefix of an allowed bucket, and their mask; the service lists and reads them."""

    url: str
    mask: Path | JobMask | LogoMark


@dataclass(frozen=True)
class Report:
    """The job at its end, or when it waits for a person. ``unfinished`` are the images without a result."""

    job: JobAnswer
    results: list[Path]
    unfinished: list[ImageAnswer]
    #: Sentences about results that differ from their sources in name or in contents.
    differences: list[str] = field(default_factory=list)


def work_of(
    source: str, mask: Path | JobMask | LogoMark | None, *, recursive: bool, globs: Sequence[str], apart: Path | None
) -> Work | Listed | Listing:
    """The work at a folder, a manifest, or ``s3://bucket/prefix/``; the other arguments are those of :func:`gather`.

    Raises:
        UsageError: there is no mask, or as :func:`gather`.
    """
    if not is_bucket(source) and Path(source).is_file():
        return Listed(Path(source), mask)
    if mask is None:
        raise UsageError("State the pixels to repair with --mask; or give --find-mark, --logo, or --text.")
    if isinstance(mask, LogoMark) and not mask.logo.is_file():
        raise UsageError(f"There is no logo {mask.logo}.")
    if not is_bucket(source):
        return gather(Path(source), mask, recursive=recursive, globs=globs, apart=apart)
    if globs or not recursive:
        raise UsageError("--glob and --no-recursive choose from a folder of this machine: name a narrower prefix.")
    if isinstance(mask, Path) and not mask.is_file():
        raise UsageError(f"There is no mask {mask}. The pictures of a bucket share one file.")
    return Listing(source, mask)


def gather(
    folder: Path,
    mask: Path | JobMask | LogoMark,
    *,
    recursive: bool = True,
    globs: Sequence[str] = (),
    apart: Path | None = None,
) -> Work:
    """The pictures of ``folder`` and its subfolders, each with ``mask``.

    Where ``mask`` is a folder, a picture has the file of its path and stem in it, or else the only one of its stem.
    ``globs`` are patterns of which a picture's path must match one; ``apart`` is a folder that is not searched.

    Raises:
        UsageError: no picture, or a picture without exactly one mask.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.")
    others = [path for path in (apart, mask) if isinstance(path, Path) and path.is_dir()]
    walk = walk_pictures(folder, recursive=recursive, globs=globs, apart=others)
    pictures = walk.pictures
    if not pictures:
        reasons = "; ".join(group.text(folder) for group in walk.left_out)
        raise UsageError(f"{folder} holds no pictures{': ' + reasons if reasons else ''}.")
    if not isinstance(mask, Path):
        return Work(folder, pictures, [], walk.left_out, mask)
    if mask.is_file():
        masks = [mask] * len(pictures)
    elif mask.is_dir():
        masks = _masks_by_stem(mask, folder, pictures)
    else:
        raise UsageError(f"There is no mask {mask}.")
    return Work(folder, pictures, masks, walk.left_out)


def _masks_by_stem(folder: Path, root: Path, pictures: list[Path]) -> list[Path]:
    by_path: dict[Path, list[Path]] = defaultdict(list)
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in walk_pictures(folder).pictures:
        by_path[path.relative_to(folder).with_suffix("")].append(path)
        by_stem[path.stem].append(path)
    fitting = [
        by_path.get(picture.relative_to(root).with_suffix("")) or by_stem.get(picture.stem, []) for picture in pictures
    ]
    wrong = [picture for picture, masks in zip(pictures, fitting, strict=True) if len(masks) != 1]
    if wrong:
        names = [picture.relative_to(root).as_posix() for picture in wrong[:5]]
        shown = ", ".join(names) + (f" and {len(wrong) - 5} more" * (len(wrong) > 5))
        raise UsageError(
            f"{folder} must hold exactly one mask of the same path or stem for each picture; it does not for {shown}."
        )
    return [masks[0] for masks in fitting]


def clean(
    client: Client,
    work: Work | Listed | Listing,
    out: Path | None,
    *,
    rights: Rights,
    console: Console,
    approve: bool = False,
    **terms: Unpack[Terms],
) -> Report:
    """Submit the work as one job, wait for its end, and write the results into ``out`` (made if missing).

    Without ``out`` results stay where the job's destination puts them, and the journal lies beside the pictures. A job
    of a bucket without ``out`` has no journal: it goes on without this program.
    A job that waits for a person is reported and left waiting; ``approve`` starts such a job.
    ``terms`` are those of :meth:`Client.submit`.

    Raises:
        UsageError: ``out`` is the folder of the pictures or masks.
        ClientError: the service refused, or could not be reached.
    """
    files = [*work.pictures, *work.masks, *mask_files(work.mask)] if isinstance(work, Work) else []
    if out is not None:
        if out.resolve() in {path.parent.resolve() for path in files}:
            raise UsageError(f"{out} holds the input: choose another folder for the results.")
        make_folder(out)
    journal = _journal_of(work, out)
    with Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        console=console,
    ) as progress:
        uploading = progress.add_task("Uploading", total=len(set(files)) or None, pace="")

        def show_uploads(count: int) -> None:
            progress.advance(uploading, count)

        if isinstance(work, Work):
            job = client.submit(
                [Picture(file=picture, path=work.path_of(picture)) for picture in work.pictures],
                masks=work.masks,
                mask=work.mask,
                rights=rights,
                journal=journal,
                on_uploaded=show_uploads,
                **terms,
            )
        elif isinstance(work, Listing):
            job = client.submit_folder(
                work.url, mask=work.mask, rights=rights, journal=journal, on_uploaded=show_uploads, **terms
            )
        else:
            job = client.submit_manifest(
                work.manifest,
                mask=work.mask,
                rights=rights,
                journal=journal,
                on_uploaded=show_uploads,
                **terms,
            )
        progress.console.print(f"Job {job.id}")
        if journal is None:
            progress.console.print(f"It goes on without this program: `cleanplate watch {job.id}` follows it.")
        if approve and job.refresh().state == "needs_review":
            job.approve()
        cleaning = progress.add_task("Cleaning", total=job.total, pace="")

        def show_job(job: JobAnswer) -> None:
            step = "Estimating" if job.state == "estimating" else "Cleaning"
            progress.update(cleaning, description=step, completed=job.counts.ended, pace=pace(job))

        job.wait(on_change=show_job, or_review=True)
        if not job.ended:
            # The journal stays, so that the same command resumes with this job.
            return Report(job.answer, [], [])
        images = list(job.images())
        unfinished = [image for image in images if not image.result_url]
        files_of: dict[str, Path] = {}
        if out is not None:
            fetching = progress.add_task("Fetching", total=len(images) - len(unfinished), pace="")
            files_of = job.download(out, on_done=lambda count: progress.advance(fetching, count))
    if journal is not None:
        journal.close()
    return Report(job.answer, sorted(files_of.values()), unfinished, differences(images))


def _journal_of(work: Work | Listed | Listing, out: Path | None) -> Journal | None:
    """The journal of a submission: in the folder of the results, else beside the pictures, if they are files."""
    if out is not None:
        return Journal(out / JOURNAL)
    match work:
        case Work():
            return Journal(work.folder / JOURNAL)
        case Listed():
            return Journal(work.manifest.parent / JOURNAL)
        case Listing():
            return None


def watch_job(client: Client, job_id: str, console: Console, *, on_review: Callable[[JobAnswer], str]) -> JobAnswer:
    """Show the job's progress until its end, and the text of ``on_review`` when it waits for a person; the job.

    Raises:
        ClientError: there is no such job, or the service could not be reached.
    """
    job = client.job(job_id)
    with Progress(
        TextColumn("{task.fields[state]:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        console=console,
    ) as progress:
        bar = progress.add_task("", total=job.total, state=job.state, pace="")
        review_shown = False
        for job in client.events(job_id):
            if job.state == "needs_review" and not review_shown:
                # Not wrapped: it holds a command to copy.
                progress.console.print(on_review(job), highlight=False, markup=False, soft_wrap=True)
                review_shown = True
            progress.update(bar, completed=job.counts.ended, state=job.state, pace=pace(job))
    return job if job.ended else client.job(job_id)


def pace(job: JobAnswer) -> str:
    """Throughput and remaining time: ``1.3 images/s, 12 s left``."""
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
