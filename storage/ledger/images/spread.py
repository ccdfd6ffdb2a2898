"""Pictures of a job, evenly spread over it: samples of what its pictures share."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, select

from storage.database import Database
from storage.records import SampleSource
from storage.tables import images, jobs


def sources_under_the_jobs_mask(db: Database, job_id: str, most: int) -> list[SampleSource]:
    """At most ``most`` pictures of a job that have no mask of their own."""
    with db.read() as connection:
        return spread_sources(connection, job_id, most, images.c.mask.is_(None))


def spread_sources(
    connection: Connection, job_id: str, most: int, *conditions: ColumnElement[bool]
) -> list[SampleSource]:
    """At most ``most`` pictures of a job, evenly spread over it, that meet the conditions; none: the job is gone."""
    total = connection.execute(select(jobs.c.total).where(jobs.c.id == job_id)).scalar()
    if not total:
        return []
    spread = range(0, total, -(-total // most))
    query = (
        select(images.c.name, images.c.source_key, images.c.source_url)
        .where(images.c.job_id == job_id, images.c.position.in_(spread), *conditions)
        .order_by(images.c.position)
    )
    return [SampleSource(**image._asdict()) for image in connection.execute(query)]
