"""Filters of the lists of jobs and images, as conditions of a query.

A filter adds no index of its own unless it says so. A list of jobs walks the tenant's jobs by id, and reads at most
all of them; a list of a job's images reads at most that job's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Column, ColumnElement, cast, exists, false, func, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from storage.database import Database
from storage.records import ImageReview, ImageState, JobKind, JobState
from storage.tables import images, jobs


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """The jobs of a list; a field that is empty does not restrict it."""

    state: JobState | None = None
    kind: JobKind | None = None
    #: Each of these.
    labels: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: Made at this time or later, and before this time.
    created_after: datetime | None = None
    created_before: datetime | None = None
    #: The API key that submitted it.
    key_id: str | None = None
    webhook_id: str | None = None
    #: Words that its name contains, in any order; ASCII letters match in either case.
    words: str | None = None

    def conditions(self, db: Database) -> Iterator[ColumnElement[bool]]:
        """The conditions on rows of ``jobs``, beside the tenant's."""
        if self.state is not None:
            yield jobs.c.state == self.state
        if self.kind is not None:
            yield jobs.c.kind == self.kind
        for label in self.labels:
            yield _holds(db, jobs.c.labels, label)
        yield from _metadata_equals(jobs.c.metadata, self.metadata)
        if self.created_after is not None:
            yield jobs.c.created_at >= self.created_after
        if self.created_before is not None:
            yield jobs.c.created_at < self.created_before
        if self.key_id is not None:
            yield jobs.c.key_id == self.key_id
        if self.webhook_id is not None:
            further = _holds(db, jobs.c.further_webhooks, self.webhook_id)
            yield or_(jobs.c.webhook_endpoint_id == self.webhook_id, further)
        for word in (self.words or "").split():
            yield jobs.c.name.icontains(word, autoescape=True)


@dataclass(frozen=True, kw_only=True)
class ImageFilter:
    """The images of a list; a field that is empty does not restrict it."""

    state: ImageState | None = None
    error_code: str | None = None
    #: Has an index.
    custom_id: str | None = None
    #: Of the result's file. Has an index.
    sha256: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: Words that its name or its custom id contains.
    words: str | None = None
    #: Has an index, but for ``unseen``.
    review: ImageReview | None = None

    @property
    def names_few(self) -> bool:
        """Whether an index finds its images."""
        return self.custom_id is not None or self.sha256 is not None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """The conditions on rows of ``images``, beside the tenant's and the job's."""
        if self.state is not None:
            yield images.c.state == self.state
        if self.error_code is not None:
            yield images.c.state == ImageState.FAILED
            yield images.c.error_code == self.error_code
        if self.custom_id is not None:
            yield images.c.custom_id == self.custom_id
        if self.sha256 is not None:
            yield images.c.result_sha256 == self.sha256
        yield from _metadata_equals(images.c.metadata, self.metadata)
        if self.review is not None:
            yield images.c.review == self.review
        for word in (self.words or "").split():
            yield or_(
                images.c.name.icontains(word, autoescape=True), images.c.custom_id.icontains(word, autoescape=True)
            )


def _metadata_equals(column: Column[object], wanted: Mapping[str, str]) -> Iterator[ColumnElement[bool]]:
    for key, value in sorted(wanted.items()):
        yield column[key].as_string() == value


def _holds(db: Database, column: Column[object], word: str) -> ColumnElement[bool]:
    """Whether a column with a list of texts holds ``word``."""
    if db.on_postgres:
        return func.coalesce(column.op("@>")(cast(literal(json.dumps([word])), JSONB)), false())
    each = func.json_each(column).table_valued("value")
    return exists(select(literal(1)).select_from(each).where(each.c.value == word))
