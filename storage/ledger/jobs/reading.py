"""Reads jobs and images as their tenant sees them. Every query names the tenant."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, literal_column, or_, select

from storage.database import Database
from storage.errors import NotFound
from storage.json_columns import read_image_mask, read_image_options, read_image_record
from storage.ledger import bulk
from storage.ledger.jobs.counting import read_job, select_jobs
from storage.ledger.jobs.filters import ImageFilter, JobFilter
from storage.records import Image, ImageReview, ImageState, Job, JobKind, JobState, Result, SkippedRow
from storage.tables import images, jobs, skipped_rows

_STATES = {state.value: state for state in ImageState}
_REVIEWS = {review.value: review for review in ImageReview}
#: Images that one search over many jobs reads at most, beside those of its first job; and the jobs.
MOST_READ = 200_000
MOST_SEARCHED = 500
#: Jobs that one statement of a search reads at most.
_MOST_AT_ONCE = 128
#: Images of a job that a search reads by itself.
_LARGE = 1000
#: Times that one image may have been done again, one result replacing the other.
_GENERATIONS = 20
#: Images whose replacements one statement looks for.
_REDONE_AT_ONCE = 100
#: Jobs whose pace is averaged.
_PACED_JOBS = 20
#: The end of an image that did another again, with a result.
_WITH_RESULT = (ImageState.SUCCEEDED, ImageState.SKIPPED)


def get_job(db: Database, tenant_id: str, job_id: str) -> Job:
    """A job with its counts at one moment. Raises NotFound."""
    with db.read() as connection:
        return read_one_job(db, connection, tenant_id, job_id)


def list_jobs(
    db: Database,
    tenant_id: str,
    *,
    limit: int,
    after: str | None,
    only: JobFilter | None = None,
    oldest_first: bool = False,
) -> list[Job]:
    """A tenant's jobs, newest first; ``after`` is the id of the last one already seen."""
    page = select(jobs.c.id).where(jobs.c.tenant_id == tenant_id, *(only or JobFilter()).conditions(db)).limit(limit)
    page = page.order_by(jobs.c.id if oldest_first else jobs.c.id.desc())
    if after is not None:
        page = page.where(jobs.c.id > after if oldest_first else jobs.c.id < after)
    with db.read() as connection:
        return [read_job(row) for row in connection.execute(select_jobs(db, page, oldest_first=oldest_first))]


def list_images(
    db: Database,
    tenant_id: str,
    job_id: str,
    *,
    limit: int,
    after: int | None,
    only: ImageFilter | None = None,
) -> list[Image]:
    """A job's images by position; ``after`` is the last position already seen. Raises NotFound for the job."""
    query = _of_job(tenant_id, job_id, only or ImageFilter(), limit).order_by(images.c.position)
    if after is not None:
        query = query.where(images.c.position > after)
    return _read_of_job(db, tenant_id, job_id, query)


class Doubted(NamedTuple):
    """A place in a job's images by doubt: behind the image with this doubt at this position."""

    doubt: int
    position: int


def list_images_by_doubt(
    db: Database,
    tenant_id: str,
    job_id: str,
    *,
    limit: int,
    after: Doubted | None,
    only: ImageFilter | None = None,
) -> list[Image]:
    """A job's images, the doubtful ones first, then by position. Raises NotFound for the job.

    Results have an index; images of other states are sorted.
    """
    query = _of_job(tenant_id, job_id, only or ImageFilter(), limit)
    query = query.order_by(images.c.doubt.desc(), images.c.position)
    if after is not None:
        behind = or_(images.c.doubt < after.doubt, images.c.position > after.position)
        query = query.where(images.c.doubt <= after.doubt, behind)
    return _read_of_job(db, tenant_id, job_id, query)


def _of_job(tenant_id: str, job_id: str, only: ImageFilter, limit: int) -> Select[Any]:
    mine = (images.c.job_id == job_id, images.c.tenant_id == tenant_id)
    return select(images).where(*mine, *only.conditions()).limit(limit)


def _read_of_job(db: Database, tenant_id: str, job_id: str, query: Select[Any]) -> list[Image]:
    with db.read() as connection:
        if connection.execute(one_job(tenant_id, job_id)).first() is None:
            raise NotFound("job", job_id)
        return with_replacements(db, connection, tenant_id, [_image(row) for row in connection.execute(query)])


def read_images(
    db: Database,
    connection: Connection,
    tenant_id: str,
    job_id: str,
    *,
    ids: Collection[str],
    only: ImageFilter,
    limit: int,
) -> list[Image]:
    """Images of a job by position, within a transaction: those of ``ids``, or all, that match."""
    query = _of_job(tenant_id, job_id, only, limit)
    by: ColumnElement[int] = images.c.position
    if ids:
        query = query.where(bulk.in_array(db, images.c.id, sorted(set(ids))))
        # An expression: in the order of positions Postgres would read the job until it has found them.
        by = images.c.position + literal_column("0")
    return [_image(row) for row in connection.execute(query.order_by(by))]


class Place(NamedTuple):
    """A place in a list over many jobs: behind this position of a job, or behind all its images."""

    job_id: str
    #: ``None``: behind the job's last image.
    position: int | None


class FoundImages(NamedTuple):
    """A part of a list over many jobs; ``then`` is where it goes on, ``None`` at its end."""

    images: list[Image]
    then: Place | None


def find_images(
    db: Database, tenant_id: str, *, limit: int, after: Place | None, job: JobFilter, image: ImageFilter
) -> FoundImages:
    """Images of all a tenant's jobs that match, by job, newest first, then by position.

    Where no index finds them, one call reads the images of the newest jobs up to ``MOST_READ`` images, and may return
    fewer than ``limit`` with a place to go on.
    """
    query = (
        select(images)
        .where(images.c.tenant_id == tenant_id, *image.conditions())
        .order_by(images.c.job_id.desc(), images.c.position)
    )
    if after is not None:
        query = query.where(_behind(after))
    with db.read() as connection:
        then: Place | None = None
        if image.names_few:
            of_jobs = query.join(jobs, jobs.c.id == images.c.job_id).where(*job.conditions(db))
            rows = list(connection.execute(of_jobs.limit(limit + 1)))
        else:
            job_ids, large, then = _next_jobs(db, connection, tenant_id, after, job)
            rows = []
            for part in _growing(job_ids, large):
                of_part = images.c.job_id == part[0] if len(part) == 1 else bulk.in_array(db, images.c.job_id, part)
                rows += connection.execute(query.where(of_part).limit(limit + 1 - len(rows)))
                if len(rows) > limit:
                    break
        found = with_replacements(db, connection, tenant_id, [_image(row) for row in rows])
    if len(found) > limit:
        last = found[limit - 1]
        return FoundImages(found[:limit], Place(last.job_id, last.position))
    return FoundImages(found, then)


def _growing(job_ids: list[str], large: set[str]) -> Iterator[list[str]]:
    """The ids in parts, each twice as long as the one before it: a page seldom needs more than the first jobs.

    A large job is a part by itself, whose images an index has in their order; those of several are read and sorted.
    """
    part: list[str] = []
    length = 1
    for job_id in job_ids:
        if part and (job_id in large or len(part) == length):
            yield part
            part, length = [], min(2 * length, _MOST_AT_ONCE)
        part.append(job_id)
        if job_id in large:
            yield part
            part = []
    if part:
        yield part


def _next_jobs(
    db: Database, connection: Connection, tenant_id: str, after: Place | None, job: JobFilter
) -> tuple[list[str], set[str], Place | None]:
    """The next jobs to search, the large ones of them, and the place behind them where others follow."""
    query = select(jobs.c.id, jobs.c.total).where(jobs.c.tenant_id == tenant_id, *job.conditions(db))
    if after is not None:
        query = query.where(jobs.c.id < after.job_id if after.position is None else jobs.c.id <= after.job_id)
    rows = connection.execute(query.order_by(jobs.c.id.desc()).limit(MOST_SEARCHED + 1)).all()
    job_ids: list[str] = []
    count = 0
    for row in rows[:MOST_SEARCHED]:
        if job_ids and count + row.total > MOST_READ:
            break
        job_ids.append(row.id)
        count += row.total
    more = len(job_ids) < len(rows)
    large = {row.id for row in rows if row.total >= _LARGE}
    return job_ids, large, Place(job_ids[-1], None) if more and job_ids else None


def _behind(place: Place) -> ColumnElement[bool]:
    later = images.c.job_id < place.job_id
    if place.position is None:
        return later
    return or_(later, and_(images.c.job_id == place.job_id, images.c.position > place.position))


class ResultPage(NamedTuple):
    """A part of a list of results; ``then`` is the position behind which it goes on, ``None`` at its end."""

    results: list[Result]
    then: int | None


def list_results(db: Database, tenant_id: str, job_id: str, *, limit: int, after: int | None) -> ResultPage:
    """The results among a job's next ``limit`` images by position, without what lists of results leave out.

    A list of 100,000 results reads them all: each column costs. Images without a result are read and left out here: a
    condition on them, and on those that others have replaced, would let one page read the whole job.
    """
    query = (
        select(
            images.c.id,
            images.c.position,
            images.c.name,
            images.c.custom_id,
            images.c.state,
            images.c.result_key,
            images.c.content_type,
            images.c.width,
            images.c.height,
            images.c.record["sha256", "result"].as_string().label("sha256"),
            images.c.finished_at,
            images.c.path,
            images.c.metadata,
            images.c.review,
            images.c.result_bytes,
            images.c.destination_url,
        )
        .where(images.c.job_id == job_id, images.c.tenant_id == tenant_id)
        .order_by(images.c.position)
        .limit(limit)
    )
    if after is not None:
        query = query.where(images.c.position > after)
    with db.read() as connection:
        listed = [
            Result(
                id=image_id,
                position=position,
                name=name,
                custom_id=custom_id,
                state=_STATES[state],
                result_key=key or "",
                content_type=content_type,
                width=width,
                height=height,
                sha256=sha256,
                finished_at=finished_at,
                path=path,
                metadata=metadata or {},
                review=_REVIEWS[review],
                bytes=size,
                destination_url=destination_url,
            )
            for (
                image_id,
                position,
                name,
                custom_id,
                state,
                key,
                content_type,
                width,
                height,
                sha256,
                finished_at,
                path,
                metadata,
                review,
                size,
                destination_url,
            ) in connection.execute(query)
        ]
        then = listed[-1].position if len(listed) == limit else None
        current = _with_replaced(db, connection, tenant_id, job_id, listed)
        return ResultPage([result for result in current if result.result_key], then)


def _with_replaced(
    db: Database, connection: Connection, tenant_id: str, job_id: str, listed: list[Result]
) -> list[Result]:
    """The results, those of images that were done again in place of their own; a key is blank where there is none."""
    if not listed:
        return []
    ids = {result.id for result in listed}
    # Ids of a job lie together, so that one step into the index finds those of them that were done again.
    again = select(images.c.redo_of).where(
        images.c.redo_of.between(min(ids), max(ids)), images.c.tenant_id == tenant_id
    )
    redone = ids.intersection(connection.scalars(again))
    if not redone:
        return listed
    originals = read_images(db, connection, tenant_id, job_id, ids=redone, only=ImageFilter(), limit=len(redone))
    current = {image.id: image.replacement for image in with_replacements(db, connection, tenant_id, originals)}
    return [_replaced(result, current.get(result.id)) for result in listed]


def _replaced(result: Result, by: Image | None) -> Result:
    if by is None:
        return result
    return replace(
        result,
        state=by.state,
        result_key=by.result_key or "",
        content_type=by.content_type,
        width=by.width,
        height=by.height,
        sha256=by.record.sha256.result if by.record.sha256 is not None else None,
        finished_at=by.finished_at,
        bytes=by.result_bytes,
        destination_url=by.destination_url,
        replaced_by=by.id,
    )


def get_image(db: Database, tenant_id: str, image_id: str) -> Image:
    """One image. Raises NotFound."""
    query = select(images).where(images.c.id == image_id, images.c.tenant_id == tenant_id)
    with db.read() as connection:
        row = connection.execute(query).first()
        if row is None:
            raise NotFound("image", image_id)
        return with_replacements(db, connection, tenant_id, [_image(row)])[0]


def with_replacements(db: Database, connection: Connection, tenant_id: str, listed: list[Image]) -> list[Image]:
    """The images, each with the one whose result replaces its own: done again last, also over several generations."""
    current = {image.id: image for image in listed}
    # Asked for each image: a join would read all jobs that replace others.
    replaces = select(jobs.c.replaces).where(jobs.c.id == images.c.job_id).scalar_subquery()
    for _ in range(_GENERATIONS):
        by_redone = {image.id: first for first, image in current.items()}
        found: list[Image] = []
        ids = sorted(by_redone)
        for begin in range(0, len(ids), _REDONE_AT_ONCE):
            query = (
                select(images)
                .where(
                    bulk.in_array(db, images.c.redo_of, ids[begin : begin + _REDONE_AT_ONCE]),
                    images.c.tenant_id == tenant_id,
                    images.c.state.in_(_WITH_RESULT),
                    replaces,
                )
                .order_by(images.c.id)
            )
            found += [_image(row) for row in connection.execute(query)]
        if not found:
            break
        for image in found:
            current[by_redone[image.redo_of or ""]] = image
    return [image if current[image.id] is image else replace(image, replacement=current[image.id]) for image in listed]


def list_skipped_rows(db: Database, tenant_id: str, job_id: str, *, limit: int, after: int) -> list[SkippedRow]:
    """The skipped rows of a job's manifest after line ``after``, by line. Raises NotFound for the job."""
    query = (
        select(skipped_rows.c.line, skipped_rows.c.custom_id, skipped_rows.c.code, skipped_rows.c.detail)
        .where(skipped_rows.c.job_id == job_id, skipped_rows.c.line > after)
        .order_by(skipped_rows.c.line)
        .limit(limit)
    )
    with db.read() as connection:
        if connection.execute(one_job(tenant_id, job_id)).first() is None:
            raise NotFound("job", job_id)
        return [SkippedRow(**row._asdict()) for row in connection.execute(query)]


def recent_pace(db: Database, tenant_id: str) -> float | None:
    """Images a second of the tenant's latest completed jobs, up to 20; ``None`` where there are none."""
    query = (
        select(jobs.c.total, jobs.c.started_at, jobs.c.finished_at)
        .where(
            jobs.c.tenant_id == tenant_id,
            jobs.c.state == JobState.COMPLETED,
            jobs.c.kind == JobKind.CATALOGUE,
            jobs.c.started_at.is_not(None),
        )
        .order_by(jobs.c.id.desc())
        .limit(_PACED_JOBS)
    )
    with db.read() as connection:
        rows = connection.execute(query).all()
    seconds = sum((row.finished_at - row.started_at).total_seconds() for row in rows)
    return round(sum(row.total for row in rows) / seconds, 4) if seconds > 0 else None


def one_job(tenant_id: str, job_id: str) -> Select[tuple[str]]:
    """Selects the id of a tenant's job; no row if the job is not the tenant's."""
    return select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.tenant_id == tenant_id)


def read_one_job(db: Database, connection: Connection, tenant_id: str, job_id: str) -> Job:
    """Reads a job within a transaction. Raises NotFound."""
    row = connection.execute(select_jobs(db, one_job(tenant_id, job_id))).first()
    if row is None:
        raise NotFound("job", job_id)
    return read_job(row)


def _image(row: Row[Any]) -> Image:
    fields = row._asdict()
    for hidden in ("lease_token", "lease_expires_at", "published_at", "available_at"):
        del fields[hidden]
    typed = {
        "state": ImageState(row.state),
        "mask": read_image_mask(row.mask, row.mask_key),
        "options": read_image_options(row.options),
        "metadata": row.metadata or {},
        "review": ImageReview(row.review),
        "record": read_image_record(row.record),
    }
    return Image(**fields | typed)
