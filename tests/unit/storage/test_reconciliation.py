"""Ledger and blob store of different moments: the differences, and their repair."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import insert

from cleanplate.base.image_records import ImageRecord, PreviewSize
from cleanplate.base.settings import Settings
from storage.blobs import open_blobs
from storage.blobs.keys import preview_key, result_key
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import close_jobs
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.operations.audit import Verification, chain, chained_entries
from storage.ledger.retention.deletion import delete_job
from storage.ledger.tenants.tenants import ensure_tenant
from storage.ledger.tenants.uploads import create_uploads
from storage.reconciliation import Lack, MissingBlob, missing_blobs, requeue, unnamed_blobs
from storage.records import ImageState, Job, JobState, Outcome, TemplateKind, TemplateState
from storage.tables import new_id, templates
from tests.catalogue import Catalogue, catalogue_in
from tests.running import cleanplate

PNG = "image/png"


class Shelf(Catalogue):
    """A catalogue whose images are ended by the test, without a worker."""

    def done(self, count: int = 2) -> Job:
        """A job whose images have all succeeded, with results and previews in the store."""
        job = self.submit([b"source"] * count, b"mask")
        token, leased = lease_images(self.database, self.ids(job), worker="w", lease_s=60)
        outcomes = []
        for image in leased:
            key = result_key(self.tenant_id, job.id, image.id, ".png")
            self.blobs.put(preview_key(self.tenant_id, job.id, image.id), b"preview", content_type="image/webp")
            self.blobs.put(key, b"result", content_type=PNG)
            outcomes.append(
                Outcome(
                    image_id=image.id, state=ImageState.SUCCEEDED, result_key=key, content_type=PNG, width=1, height=1,
                    tiles_done=1, record=ImageRecord(preview=PreviewSize(width=24, height=16)),
                )
            )  # fmt: skip
        assert len(finish_images(self.database, token, outcomes, max_attempts=3)) == count
        close_jobs(self.database)
        return job

    def unnamed(self) -> list[str]:
        return list(unnamed_blobs(self.database, self.blobs))

    def missing(self) -> list[MissingBlob]:
        return list(missing_blobs(self.database, self.blobs))


@pytest.fixture
def shelf(settings: Settings) -> Iterator[Shelf]:
    with catalogue_in(settings) as catalogue:
        yield Shelf(settings, catalogue.database, catalogue.blobs)


def test_a_service_at_rest_and_one_at_work_agree(shelf: Shelf) -> None:
    shelf.done()
    working = shelf.submit([b"source"], b"mask")
    lease_images(shelf.database, shelf.ids(working), worker="w", lease_s=60)
    # A result that a worker has stored and not reported yet.
    result = result_key(shelf.tenant_id, working.id, shelf.ids(working)[0], ".png")
    shelf.blobs.put(result, b"result", content_type=PNG)
    # An announced upload that was not sent.
    create_uploads(shelf.database, shelf.tenant_id, [("late.png", PNG)], expires_in_s=60)
    assert shelf.unnamed() == []
    assert shelf.missing() == []


def test_blobs_that_no_row_names_are_found(shelf: Shelf) -> None:
    job = shelf.done()
    [image, _] = shelf.images(job)
    strange = [
        f"t/{shelf.tenant_id}/jobs/{job.id}/results/img_of_nobody.png",
        f"t/{shelf.tenant_id}/jobs/job_later/results/{image.id}.png",
        f"t/{shelf.tenant_id}/templates/tpl_later/template.zip",
        f"t/{shelf.tenant_id}/uploads/upl_later",
        "t/tnt_later/uploads/upl_later",
        "t/unheard-of",
        # An ended image's other result.
        result_key(shelf.tenant_id, job.id, image.id, ".jpg"),
    ]
    for key in strange:
        shelf.blobs.put(key, b"x", content_type=PNG)
    assert sorted(shelf.unnamed()) == sorted(strange)
    assert shelf.missing() == []


def test_blobs_of_a_deleted_job_are_the_sweepers(shelf: Shelf) -> None:
    job = shelf.done()
    delete_job(shelf.database, shelf.tenant_id, job.id)
    assert [*shelf.blobs.list("t/")]
    assert shelf.unnamed() == []
    assert shelf.missing() == []


def test_results_that_are_gone_are_made_again(shelf: Shelf) -> None:
    job = shelf.done(3)
    lost, unseen, _ = shelf.images(job)
    shelf.blobs.delete(lost.result_key or "")
    preview = preview_key(shelf.tenant_id, job.id, unseen.id)
    shelf.blobs.delete(preview)
    assert shelf.missing() == [
        MissingBlob(Lack.RESULT, lost.result_key or "", lost.id),
        MissingBlob(Lack.PREVIEW, preview, unseen.id),
    ]
    assert requeue(shelf.database, [lost.id, unseen.id]) == 2
    assert requeue(shelf.database, [lost.id, unseen.id]) == 0
    opened = shelf.job(job)
    assert opened.state is JobState.RUNNING
    assert (opened.counts.queued, opened.counts.succeeded) == (2, 1)
    # Another attempt, with the next number.
    _, leased = lease_images(shelf.database, [lost.id], worker="w", lease_s=60)
    assert [image.attempt for image in leased] == [2]
    assert shelf.missing() == []
    chain(shelf.database)
    entries = list(chained_entries(shelf.database))
    requeued = {entry.image_id for entry in entries if entry.action == "image.requeued"}
    assert requeued == {lost.id, unseen.id}
    seen = Verification()
    for entry in entries:
        seen.see(entry)
    assert not seen.flaws


def test_images_of_a_canceled_job_stay_as_they_are(shelf: Shelf) -> None:
    job = shelf.submit([b"source"] * 2, b"mask")
    token, leased = lease_images(shelf.database, shelf.ids(job)[:1], worker="w", lease_s=60)
    key = result_key(shelf.tenant_id, job.id, leased[0].id, ".png")
    outcome = Outcome(image_id=leased[0].id, state=ImageState.SUCCEEDED, result_key=key, content_type=PNG, tiles_done=1)
    finish_images(shelf.database, token, [outcome], max_attempts=3)
    cancel_job(shelf.database, shelf.tenant_id, job.id)
    assert [missing.lack for missing in shelf.missing()] == [Lack.RESULT]
    assert requeue(shelf.database, [leased[0].id]) == 0


def test_uploads_that_are_gone_are_told_with_the_images_that_wait(shelf: Shelf) -> None:
    done, waiting = shelf.done(1), shelf.submit([b"source", b"source"], b"mask")
    [finished] = shelf.images(done)
    mask = shelf.images(waiting)[0].mask_key
    for key in (finished.source_key, mask):
        shelf.blobs.delete(key)
    missing_by_key = {missing.key: missing for missing in shelf.missing()}
    assert set(missing_by_key) == {finished.source_key, mask}
    assert {missing.lack for missing in missing_by_key.values()} == {Lack.UPLOAD}
    assert missing_by_key[finished.source_key].waiting == 0
    assert missing_by_key[mask].waiting == 2


def test_other_tenants_uploads_are_not_taken_for_ones_own(shelf: Shelf) -> None:
    ensure_tenant(shelf.database, "rival")
    shelf.done()
    assert shelf.missing() == []


def test_a_template_whose_file_is_gone_is_told(shelf: Shelf) -> None:
    template = new_id("tpl")
    file, look = f"t/{shelf.tenant_id}/templates/{template}/template.zip", f"t/{shelf.tenant_id}/templates/{template}/a"
    with shelf.database.write() as connection:
        connection.execute(
            insert(templates).values(
                id=template, tenant_id=shelf.tenant_id, name="spring", version=1, kind=TemplateKind.LOGO,
                state=TemplateState.READY, spec={}, warnings=[], file_key=file, previews={"colour": look},
                available_at=shelf.database.now(), created_at=shelf.database.now(),
            )
        )  # fmt: skip
    shelf.blobs.put(file, b"zip", content_type="application/zip")
    assert shelf.unnamed() == []
    assert shelf.missing() == [MissingBlob(Lack.TEMPLATE, look, template)]
    shelf.blobs.delete(file)
    assert {missing.key for missing in shelf.missing()} == {file, look}


def test_nothing_is_deleted_for_a_ledger_without_tenants(embedded_settings: Settings) -> None:
    blobs = open_blobs(embedded_settings)
    blobs.put("t/tnt_a/uploads/upl_a", b"x", content_type=PNG)
    refused = cleanplate("reconcile", "--delete", settings=embedded_settings.environment())
    assert refused.returncode == 2
    assert "no tenants" in refused.stderr
    reconciled = cleanplate("reconcile", settings=embedded_settings.environment())
    assert (reconciled.returncode, reconciled.stdout) == (1, "unnamed t/tnt_a/uploads/upl_a\n")
    assert blobs.get("t/tnt_a/uploads/upl_a") == b"x"
