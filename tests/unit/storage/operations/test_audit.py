"""The audit log only grows, and its chain shows every change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, text, update
from sqlalchemy.exc import DBAPIError

from cleanplate.base.image_records import FileHashes, ImageRecord
from cleanplate.base.options import JobOptions
from storage.database import Database
from storage.ledger.images.finish import finish_images
from storage.ledger.images.leases import lease_images
from storage.ledger.images.reaper import reap_leases
from storage.ledger.jobs.changes import cancel_job
from storage.ledger.operations.audit import (
    GENESIS,
    EntryFilter,
    Verification,
    as_json,
    chain,
    chained_entries,
    digest_of,
    find_entries,
    from_json,
    heads,
    key_ends,
    lost_heads,
    unchained,
)
from storage.ledger.tenants.tenants import create_key, revoke_key
from storage.ledger.webhooks.endpoints import change_endpoint, create_endpoint, delete_endpoint, rotate_secret
from storage.records import AuditEntry, ImageState, Outcome
from storage.tables import audit_log
from tests.shop import RIGHTS, Clock, Shop, failed


def log(db: Database, tenant: str | None = None) -> list[AuditEntry]:
    chain(db)
    return list(chained_entries(db, tenant))


def flaws(entries: list[AuditEntry]) -> dict[str, tuple[int, str]]:
    seen = Verification()
    for entry in entries:
        seen.see(entry)
    return {tenant: (flaw.sequence, flaw.reason) for tenant, flaw in seen.flaws.items()}


def test_a_job_leaves_its_whole_story(shop: Shop, clock: Clock) -> None:
    job = shop.submit(3)
    first, second, third = shop.image_ids(job.id)
    token, _ = lease_images(shop.db, [first, second], worker="w", lease_s=60)
    hashes = FileHashes(source="aa", mask="bb", result="cc")
    record = ImageRecord(method="inpainting", worker="w", sha256=hashes)
    outcome = Outcome(image_id=first, state=ImageState.SUCCEEDED, record=record)
    finish_images(shop.db, token, [outcome, failed(second)], max_attempts=1)
    cancel_job(shop.db, shop.tenant, job.id, actor="key:key_1")
    cancel_job(shop.db, shop.tenant, job.id, actor="key:key_1")

    entries = log(shop.db)
    assert [(entry.sequence, entry.action, entry.actor) for entry in entries] == [
        (1, "job.submitted", "service"),
        *((entry.sequence, entry.action, entry.actor) for entry in entries[1:3]),
        (4, "job.canceled", "key:key_1"),
    ]
    assert entries[0].data == {
        "rights_basis": "owner",
        "attested_by": RIGHTS.attested_by,
        "rights_reference": RIGHTS.reference,
        "images": 3,
        "options": JobOptions(dilation_px=4).model_dump(mode="json"),
    }
    ended = {entry.image_id: entry for entry in entries[1:3]}
    assert (ended[first].action, ended[first].actor) == ("image.succeeded", "worker:w")
    assert ended[first].data["sha256"] == hashes.document()
    assert ended[first].data["method"] == "inpainting"
    assert (ended[second].action, ended[second].data["error_code"]) == ("image.failed", "image_truncated")
    assert third not in ended
    assert entries[3].data == {"images": 1}
    assert {(entry.job_id, entry.at) for entry in entries} == {(job.id, clock.time)}


def test_an_attempt_that_will_be_repeated_is_no_end(shop: Shop, clock: Clock) -> None:
    job = shop.submit(1)
    token, _ = lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=60)
    finish_images(shop.db, token, [failed(shop.image_ids(job.id)[0], retry=True)], max_attempts=2)
    assert [entry.action for entry in log(shop.db)] == ["job.submitted"]
    clock.advance(10)
    lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=60)
    clock.advance(60)
    assert reap_leases(shop.db, max_attempts=2).counts == (0, 1)
    last = log(shop.db)[-1]
    assert (last.action, last.actor, last.data["error_code"]) == ("image.failed", "service", "worker_lost")


def test_keys_are_written_down_without_their_secret(shop: Shop) -> None:
    key, secret = create_key(shop.db, shop.tenant, "laptop")
    revoke_key(shop.db, key.id)
    revoke_key(shop.db, key.id)
    entries = log(shop.db)
    assert [(entry.action, entry.data["key"]) for entry in entries] == [
        ("key.created", key.id),
        ("key.revoked", key.id),
    ]
    assert secret not in str(entries)


def test_entries_are_found_by_subject_job_and_actor_without_those_of_images(shop: Shop, rival: Shop) -> None:
    first, second, theirs = (one.submit(2).id for one in (shop, shop, rival))
    token, _ = lease_images(shop.db, shop.image_ids(first), worker="w", lease_s=60)
    finish_images(shop.db, token, [failed(image_id) for image_id in shop.image_ids(first)], max_attempts=1)
    cancel_job(shop.db, shop.tenant, second, actor="key:key_7")
    create_key(shop.db, shop.tenant, "spare")

    def found(tenant: str | None, **only: str) -> list[tuple[str, str | None]]:
        return [(entry.action, entry.job_id) for entry in find_entries(shop.db, tenant, EntryFilter(**only), limit=50)]

    assert ("job.submitted", theirs) in found(None)
    assert ("job.submitted", theirs) not in found(shop.tenant)
    assert found(shop.tenant, subject="job") == [
        ("job.canceled", second),
        ("job.submitted", second),
        ("job.submitted", first),
    ]
    assert found(shop.tenant, subject="key", job_id=first) == []
    assert found(shop.tenant, subject="key")[0] == ("key.created", None)
    assert found(None, actor="KEY_7") == [("job.canceled", second)]
    assert not any(action.startswith("image.") for action, _ in found(None))


def test_tenants_have_chains_of_their_own(shop: Shop, rival: Shop) -> None:
    for owner in (shop, rival, shop):
        owner.submit(1)
        chain(shop.db)
    assert [entry.sequence for entry in log(shop.db, shop.tenant)] == [1, 2]
    assert [entry.sequence for entry in log(shop.db, rival.tenant)] == [1]
    assert len(log(shop.db)) == 3
    assert flaws(log(shop.db)) == {}


def test_more_entries_than_a_batch_are_all_chained(shop: Shop) -> None:
    job = shop.submit(1100)
    token, _ = lease_images(shop.db, shop.image_ids(job.id), worker="w", lease_s=60)
    finish_images(shop.db, token, [failed(image) for image in shop.image_ids(job.id)], max_attempts=1)
    assert chain(shop.db) == 1101
    assert chain(shop.db) == 0
    assert [entry.sequence for entry in chained_entries(shop.db)] == list(range(1, 1102))
    assert flaws(list(chained_entries(shop.db))) == {}


@pytest.mark.parametrize(
    "change",
    [
        update(audit_log).values(data={"rights_basis": "licensee"}),
        update(audit_log).values(hash="0" * 64),
        update(audit_log).values(sequence=7),
        delete(audit_log),
    ],
)
def test_the_database_refuses_every_change(shop: Shop, change: Any) -> None:
    shop.submit(1)
    before = log(shop.db)
    with pytest.raises(DBAPIError, match="only grows"), shop.db.write() as connection:
        connection.execute(change)
    assert log(shop.db) == before


def test_unchained_entries_cannot_be_changed_either(shop: Shop) -> None:
    shop.submit(1)
    with pytest.raises(DBAPIError, match="only grows"), shop.db.write() as connection:
        connection.execute(update(audit_log).values(actor="somebody else"))
    if shop.db.on_postgres:
        with pytest.raises(DBAPIError, match="only grows"), shop.db.write() as connection:
            connection.execute(text("TRUNCATE audit_log"))
    assert [entry.actor for entry in log(shop.db)] == ["service"]


@pytest.mark.parametrize("field", ["at", "action", "actor", "job_id", "image_id", "data", "hash"])
def test_a_changed_entry_breaks_the_chain(shop: Shop, clock: Clock, field: str) -> None:
    for _ in range(3):
        shop.submit(1)
    entries = log(shop.db)
    clock.advance(1)
    forged = {"at": clock.time, "data": {**entries[1].data, "attested_by": "Somebody Else"}}.get(field, "x")
    entries[1] = replace(entries[1], **{field: forged})
    assert flaws(entries) == {shop.tenant: (2, "the entry is not as it was written")}


def test_a_missing_entry_breaks_the_chain(shop: Shop) -> None:
    for _ in range(3):
        shop.submit(1)
    entries = log(shop.db)
    assert flaws(entries[:1] + entries[2:]) == {shop.tenant: (3, "entry 2 is missing")}
    assert flaws(entries[1:]) == {shop.tenant: (2, "entry 1 is missing")}
    renumbered = [entries[0], replace(entries[2], sequence=2)]
    assert flaws(renumbered) == {shop.tenant: (2, "the entry is not as it was written")}


def test_an_exported_entry_is_read_back_as_it_was(shop: Shop) -> None:
    shop.submit(1)
    (entry,) = log(shop.db)
    assert from_json({**as_json(entry), "hash": entry.hash}) == entry


def test_a_rolled_back_change_leaves_no_entry(shop: Shop) -> None:
    with pytest.raises(LookupError):
        _submit_and_fail(shop)
    with shop.db.read() as connection:
        assert connection.execute(select(audit_log)).all() == []


def _submit_and_fail(shop: Shop) -> None:
    from storage.ledger.operations import audit

    with shop.db.write() as connection:
        audit.append(shop.db, connection, [audit.Event(shop.tenant, "job.submitted", "service", None, None, {})])
        raise LookupError


KEY = b"a key that the database does not hold"


def verified(entries: list[AuditEntry], key: bytes | None) -> dict[str, tuple[int, str]]:
    seen = Verification(key)
    for entry in entries:
        seen.see(entry)
    seen.finish()
    return {tenant: (flaw.sequence, flaw.reason) for tenant, flaw in seen.flaws.items()}


def test_a_chain_with_a_key_cannot_be_written_anew_without_it(shop: Shop) -> None:
    for _ in range(3):
        shop.submit(1)
    chain(shop.db, KEY)
    entries = list(chained_entries(shop.db))
    assert verified(entries, KEY) == {}
    forged, previous = [], GENESIS
    for entry in entries:
        changed = replace(entry, actor="key:somebody_else", hash="")
        previous = digest_of(changed, previous)
        forged.append(replace(changed, hash=previous))
    assert flaws(forged) == {}
    [(sequence, reason)] = verified(forged, KEY).values()
    assert sequence == 3
    assert "without the key" in reason
    [(sequence, reason)] = verified([*entries[:1], *forged[1:]], KEY).values()
    assert sequence == 2
    assert "without the key" in reason
    assert verified(entries, b"another key, which is wrong") == {shop.tenant: (1, "the entry is not as it was written")}
    assert verified(entries, None)[shop.tenant][0] == 1


def test_a_chain_from_before_the_key_goes_on_with_it(shop: Shop, rival: Shop) -> None:
    for owner in (shop, rival):
        owner.submit(1)
    chain(shop.db)
    assert set(verified(list(chained_entries(shop.db)), KEY)) == {shop.tenant, rival.tenant}
    key_ends(shop.db)
    chain(shop.db, KEY)
    key_ends(shop.db)
    chain(shop.db, KEY)
    entries = list(chained_entries(shop.db))
    assert [entry.action for entry in entries] == ["job.submitted", "audit.keyed"] * 2
    assert verified(entries, KEY) == {}


def test_entries_taken_out_of_the_chain_and_chained_anew_are_missed(shop: Shop, clock: Clock) -> None:
    for _ in range(3):
        shop.submit(1)
    chain(shop.db, KEY)
    known = heads(shop.db)
    assert lost_heads(shop.db, known) == []
    with shop.db.write() as connection:
        _without_triggers(connection, shop.db)
        connection.execute(update(audit_log).values(sequence=None, hash=None, actor="key:somebody_else"))
    clock.advance(601)
    assert unchained(shop.db, older_than_s=600) == 3
    assert lost_heads(shop.db, known) == [shop.tenant]
    chain(shop.db, KEY)
    assert verified(list(chained_entries(shop.db)), KEY) == {}
    assert lost_heads(shop.db, known) == [shop.tenant]


def _without_triggers(connection: Connection, db: Database) -> None:
    """As somebody does who owns the database."""
    if db.on_postgres:
        connection.execute(text("ALTER TABLE audit_log DISABLE TRIGGER ALL"))
        return
    for name in connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
        connection.execute(text(f"DROP TRIGGER {name}"))


def test_every_change_of_a_webhook_names_who_made_it(shop: Shop) -> None:
    endpoint, secret = create_endpoint(shop.db, shop.tenant, "https://x.example/h?password=1", actor="key:key_1")
    change_endpoint(shop.db, shop.tenant, endpoint.id, events=["*"], actor="key:key_2")
    change_endpoint(shop.db, shop.tenant, endpoint.id, actor="key:key_3")
    rotate_secret(shop.db, shop.tenant, endpoint.id, keep_s=0, actor="key:key_4")
    delete_endpoint(shop.db, shop.tenant, endpoint.id, actor="key:key_5")
    entries = log(shop.db)
    assert [(entry.action, entry.actor) for entry in entries] == [
        ("webhook.created", "key:key_1"),
        ("webhook.changed", "key:key_2"),
        ("webhook.secret_rotated", "key:key_4"),
        ("webhook.deleted", "key:key_5"),
    ]
    assert entries[1].data == {"webhook": endpoint.id, "url": "https://x.example/h", "events": ["*"]}
    assert secret not in str(entries)


def test_a_key_names_who_made_and_revoked_it(shop: Shop) -> None:
    key, _ = create_key(shop.db, shop.tenant, "laptop", actor="cli:jo@desk")
    revoke_key(shop.db, key.id, actor="cli:max@desk")
    assert [entry.actor for entry in log(shop.db)] == ["cli:jo@desk", "cli:max@desk"]
