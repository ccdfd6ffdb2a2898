"""Checks that all accounts of a service agree: job counts, images, results, attempts, webhook events, audit log."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import func, select

from storage.blobs.base import Blobs
from storage.database import Database
from storage.ledger.jobs.counting import STATES, read_job, select_jobs
from storage.records import ENDED, ImageState, JobState
from storage.tables import attempts, audit_log, images, jobs, webhook_deliveries


def imbalances(database: Database, blobs: Blobs) -> list[str]:
    """Disagreements between the accounts, in sentences; none is right. All jobs must have ended."""
    disagreements = []
    with database.read() as connection:
        for row in connection.execute(select_jobs(database, select(jobs.c.id))):
            job = read_job(row)
            of_job = images.c.job_id == job.id
            by_state = select(images.c.state, func.count()).where(of_job).group_by(images.c.state)
            states: Counter[str] = Counter()
            for state, number in connection.execute(by_state):
                states[state] = number
            counts = {state: getattr(job.counts, state) for state in STATES}
            if counts != {state: states[state] for state in STATES} or states.total() != job.total:
                disagreements.append(f"{job.id}: its counts {counts} are not its images {dict(states)} of {job.total}")
            if not set(states) <= {state.value for state in ENDED}:
                disagreements.append(f"{job.id}: not all images have ended: {dict(states)}")
            keys = set(connection.scalars(select(images.c.result_key).where(of_job, images.c.result_key.is_not(None))))
            stored = {stat.key for stat in blobs.list(f"t/{job.tenant_id}/jobs/{job.id}/results/")}
            if len(keys) != states[ImageState.SUCCEEDED] or not keys <= stored:
                disagreements.append(f"{job.id}: {len(keys)} results for {states[ImageState.SUCCEEDED]} images")
            if stray := stored - keys:
                disagreements.append(f"{job.id}: results of no succeeded image: {sorted(stray)[:3]}")
            events = Counter(
                connection.scalars(select(webhook_deliveries.c.event_type).where(webhook_deliveries.c.job_id == job.id))
            )
            wanted = Counter({"image.failed": states[ImageState.FAILED], "job.completed": 1})
            if job.state is JobState.COMPLETED and job.webhook_endpoint_id and events != +wanted:
                disagreements.append(f"{job.id}: events {dict(events)} instead of {dict(+wanted)}")
        twice = connection.execute(
            select(attempts.c.image_id)
            .where(attempts.c.outcome == ImageState.SUCCEEDED)
            .group_by(attempts.c.image_id)
            .having(func.count() > 1)
        ).all()
        if twice:
            disagreements.append(f"{len(twice)} images succeeded twice")
        logged = select(audit_log.c.image_id).where(
            audit_log.c.action.in_([f"image.{state}" for state in ENDED if state is not ImageState.CANCELED])
        )
        entries = Counter(connection.scalars(logged))
        ended = set(connection.scalars(select(images.c.id).where(images.c.state.in_(ENDED - {ImageState.CANCELED}))))
        if set(entries) != ended or any(count > 1 for count in entries.values()):
            disagreements.append("the audit log does not name each ended image once")
    return disagreements
