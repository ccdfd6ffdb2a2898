"""Rehearses docs/maintenance.md: dump and restore amid a job, and a new version beside an old one."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from storage.blobs import S3Blobs, open_blobs
from storage.records import ImageState, Job, JobState
from tests.catalogue import Catalogue, bar_mask, catalogue_in, dotted_mask, picture, png
from tests.faults.balance import imbalances
from tests.faults.conftest import hasty
from tests.faults.hold import Hold
from tests.running import Running, cleanplate, running, until
from tests.servers import PostgresServer, RedisServer

SIDE = 384


@contextmanager
def at_work(settings: Settings, logs: Path) -> Iterator[list[Running]]:
    """Dispatcher and worker of one installation."""
    logs.mkdir()
    with ExitStack() as stack:
        yield [
            stack.enter_context(running(program, settings=settings.environment(), log_path=logs / program))
            for program in ("dispatch", "worker")
        ]


def slow_job(catalogue: Catalogue, count: int) -> Job:
    """A job whose pictures each take four passes of the network."""
    sources = [png(picture(seed, SIDE, SIDE)) for seed in range(count)]
    return catalogue.submit(sources, png(dotted_mask(SIDE, SIDE, 192)))


@contextmanager
def amid_job(catalogue: Catalogue, hold: Hold, count: int) -> Iterator[Job]:
    """A slow job; when the block begins a picture is done, and until it ends or ``hold`` is released another is not."""
    with hold.holding("all"):
        job = slow_job(catalogue, count)
        hold.hold(catalogue.images(job)[-1].id)

        def states() -> set[ImageState]:
            return {image.state for image in catalogue.images(job)}

        until(lambda: ImageState.SUCCEEDED in states(), lambda: f"no image ended: {catalogue.images(job)}")
        assert states() > {ImageState.SUCCEEDED}
        yield job


def wait_until_done(catalogue: Catalogue, job: Job) -> None:
    until(
        lambda: catalogue.job(job).state is JobState.COMPLETED,
        lambda: f"the job did not complete: {catalogue.images(job)}",
    )
    assert {image.state for image in catalogue.images(job)} == {ImageState.SUCCEEDED}


def dump(server: PostgresServer, settings: Settings, file: Path) -> None:
    url = settings.database_url.get_secret_value()
    subprocess.run([server.tool("pg_dump"), "--format=custom", f"--file={file}", url], check=True)


def restore(server: PostgresServer, file: Path, url: str) -> None:
    command = [server.tool("pg_restore"), "--exit-on-error", "--no-owner", f"--dbname={url}", file]
    subprocess.run(command, check=True)


def elsewhere(settings: Settings, server: PostgresServer, redis: RedisServer, home: Path) -> Settings:
    """Settings of an installation whose ledger, queue and bucket are new."""
    return settings.model_copy(
        update={
            "home": home,
            "database_url": SecretStr(server.url(server.new_database(empty=True))),
            "broker_url": SecretStr(redis.new_database()),
            "blobs_url": f"s3://test-{secrets.token_hex(8)}",
        }
    )


def copy_bucket(source: S3Blobs, target: S3Blobs) -> None:
    target.ensure_bucket()
    for listed in source.list("t/"):
        target.put(listed.key, source.get(listed.key), content_type=source.stat(listed.key).content_type)


@pytest.fixture
def first(server_settings: Settings) -> Iterator[Catalogue]:
    with catalogue_in(hasty(server_settings).model_copy(update={"s3_timeout_s": 20.0})) as catalogue:
        yield catalogue


def test_a_dump_amid_a_job_loses_nothing_that_was_acknowledged(
    first: Catalogue, hold: Hold, postgres_server: PostgresServer, redis_server: RedisServer, tmp_path: Path
) -> None:
    with at_work(first.settings, tmp_path / "logs"):
        with amid_job(first, hold, 4) as job:
            # The ledger first: what it names was stored before, and is in a copy that is made after.
            dump(postgres_server, first.settings, tmp_path / "ledger.dump")
        late = first.submit([png(picture(9))], png(bar_mask()))
        wait_until_done(first, late)
        settings = elsewhere(first.settings, postgres_server, redis_server, tmp_path / "elsewhere")
        blobs = open_blobs(settings)
        assert isinstance(first.blobs, S3Blobs)
        assert isinstance(blobs, S3Blobs)
        copy_bucket(first.blobs, blobs)
    restore(postgres_server, tmp_path / "ledger.dump", settings.database_url.get_secret_value())
    assert cleanplate("migrate", settings=settings.environment()).returncode == 0

    with catalogue_in(settings) as second:
        done = [image for image in second.images(job) if image.state is ImageState.SUCCEEDED]
        assert done
        # As if the copy of the bucket had missed it.
        lost = done[0]
        blobs.delete(lost.result_key or "")
        reconciled = cleanplate("reconcile", settings=settings.environment())
        assert reconciled.returncode == 1, reconciled.stderr
        kinds = {line.split()[1]: line.split()[0] for line in reconciled.stdout.splitlines()}
        assert kinds[lost.result_key] == "result"
        unnamed = {key for key, kind in kinds.items() if kind == "unnamed"}
        # All of the job that the ledger's dump does not know: picture, mask, result, preview.
        assert {key for key in unnamed if late.id in key or "/uploads/" in key} == unnamed
        assert any(late.id in key for key in unnamed)
        assert set(kinds.values()) == {"unnamed", "result"}
        mended = cleanplate("reconcile", "--requeue", "--delete", settings=settings.environment())
        assert mended.returncode == 0, mended.stdout + mended.stderr

        with at_work(settings, tmp_path / "logs-elsewhere"):
            wait_until_done(second, job)
        agreed = cleanplate("reconcile", settings=settings.environment())
        assert (agreed.returncode, agreed.stdout) == (0, ""), agreed.stdout
        for image in done[1:]:
            [same] = [one for one in second.images(job) if one.id == image.id]
            assert same == image
        assert [outcome for outcome, _ in second.attempts(lost)] == ["succeeded", "succeeded"]
        verified = cleanplate("audit", "verify", settings=settings.environment())
        assert verified.returncode == 0, verified.stderr


def test_a_new_version_takes_over_beside_the_old_and_costs_no_attempt(
    first: Catalogue, hold: Hold, tmp_path: Path
) -> None:
    """The migration, then new programs beside the old ones, then an end for these: the order of an upgrade."""
    with at_work(first.settings, tmp_path / "old") as old, amid_job(first, hold, 5) as job:
        assert cleanplate("migrate", settings=first.settings.environment()).returncode == 0
        new_settings = first.settings.model_copy(update={"home": tmp_path / "new-home"})
        with at_work(new_settings, tmp_path / "new"):
            hold.release()
            for program in reversed(old):
                assert program.stop() == 0, program.log
            wait_until_done(first, job)
    outcomes = [attempt for image in first.images(job) for attempt in first.attempts(image)]
    assert {outcome for outcome, _ in outcomes} <= {"succeeded", None}
    assert [outcome for outcome, _ in outcomes].count("succeeded") == 5
    assert imbalances(first.database, first.blobs) == []
