"""A job's images as a whole: the reasons of failures, and the mean time of each stage."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import func, select

from storage.database import Database
from storage.errors import NotFound
from storage.json_columns import read_image_record
from storage.ledger.jobs.reading import one_job
from storage.records import ImageReview, ImageState
from storage.tables import images

#: Images whose stages are averaged: the first of the job.
_SAMPLE = 1000


@dataclass(frozen=True, kw_only=True)
class Reason:
    """The images of a job that failed with one code; ``detail`` is the sentence of one of them."""

    code: str
    count: int
    detail: str


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A job's images as a whole."""

    #: The most frequent code first.
    reasons: list[Reason]
    #: Mean seconds of an image by stage, in the order of the pipeline.
    stages: dict[str, float]


def count_reviews(db: Database, tenant_id: str, job_id: str) -> dict[ImageReview, int]:
    """Results of a job by a person's judgement."""
    query = (
        select(images.c.review, func.count().label("images"))
        .where(images.c.job_id == job_id, images.c.tenant_id == tenant_id, images.c.state == ImageState.SUCCEEDED)
        .group_by(images.c.review)
    )
    with db.read() as connection:
        counted = {row.review: row.images for row in connection.execute(query)}
    return {review: counted.get(review.value, 0) for review in ImageReview}


def overview(db: Database, tenant_id: str, job_id: str) -> Overview:
    """A job's overview at one moment. Raises NotFound."""
    failed_images = (images.c.job_id == job_id, images.c.state == ImageState.FAILED)
    # Counted in the index of failed images; one row of each code is read for its sentence.
    counted = (
        select(images.c.error_code, func.count().label("images"))
        .where(*failed_images)
        .group_by(images.c.error_code)
        .subquery("counted")
    )
    first = (
        select(images.c.error_detail)
        .where(*failed_images, images.c.error_code == counted.c.error_code)
        .order_by(images.c.position)
        .limit(1)
    )
    failed = select(counted, first.scalar_subquery().label("detail")).order_by(
        counted.c.images.desc(), counted.c.error_code
    )
    done = (
        select(images.c.record)
        .where(images.c.job_id == job_id, images.c.state == ImageState.SUCCEEDED)
        .order_by(images.c.position)
        .limit(_SAMPLE)
    )
    with db.read() as connection:
        if connection.execute(one_job(tenant_id, job_id)).first() is None:
            raise NotFound("job", job_id)
        reasons = [
            Reason(code=row.error_code or "", count=row.images, detail=row.detail or "")
            for row in connection.execute(failed)
        ]
        seconds: defaultdict[str, list[float]] = defaultdict(list)
        for record in connection.scalars(done):
            for stage, value in (read_image_record(record).seconds or {}).items():
                seconds[stage].append(value)
    means = {stage: round(sum(values) / len(values), 4) for stage, values in seconds.items()}
    known = [stage for stage in ("fetch", "decode", "network", "encode", "read_back", "store") if stage in means]
    others = sorted(means.keys() - set(known))
    return Overview(reasons=reasons, stages={stage: means[stage] for stage in [*known, *others]})
