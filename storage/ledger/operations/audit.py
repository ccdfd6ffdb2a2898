"""The audit log: who did what, when, by which right, and the hashes of sources and results.

The transaction of an event also writes its entry. The dispatcher chains the entries of each tenant shortly after: the
hash of an entry covers the entry and the hash before it, so that a change of one breaks all that follow. With a key
that the database does not hold, nobody can write a chain anew; the ends that the leader keeps in the object store
(``heads``) show a chain that was cut.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, Text, func, select, tuple_, update

from cleanplate.base.documents import JsonObject
from storage.database import Database
from storage.ledger import bulk
from storage.records import AuditEntry
from storage.tables import audit_log, tenants

#: Stands for the hash before the first entry.
GENESIS = "0" * 64
#: The actor of the service itself and of its command line.
SERVICE = "service"
#: Entries in one transaction, and rows read at once.
_BATCH = 1000
#: Begins a hash that was made with the key.
_KEYED = "k1"


@dataclass(frozen=True)
class Event:
    """A new entry."""

    tenant_id: str
    action: str
    actor: str
    job_id: str | None
    image_id: str | None
    data: JsonObject


@dataclass(frozen=True)
class Flaw:
    """The first entry of a chain that was altered, or is missing."""

    tenant_id: str
    sequence: int
    reason: str


def append(db: Database, connection: Connection, events: Iterable[Event]) -> None:
    """Writes entries, which are chained later; takes no lock."""
    batch = bulk.StatementBatch(db)
    append_with(db, batch, events)
    batch.write(connection)


def append_with(db: Database, batch: bulk.StatementBatch, events: Iterable[Event]) -> None:
    """As :func:`append`, in a batch with other writes."""
    batch.insert(audit_log, [vars(event) for event in events], at=db.now())


def image_failed(row: Row[Any]) -> Event:
    """The entry of an image that the service itself fails; ``row`` is the image's."""
    data = {"name": row.name, "attempt": row.attempt, "error_code": row.error_code}
    return Event(row.tenant_id, "image.failed", SERVICE, row.job_id, row.id, data)


def chain(db: Database, key: bytes | None = None) -> int:
    """Chains new entries of each tenant, in the order of writing; returns their number.

    Without a ``key`` the hashes show changes only to who has an earlier end of the chain.
    """
    total = 0
    while True:
        with db.write() as connection:
            chained = _chain_batch(db, connection, key)
        total += chained
        if chained < _BATCH:
            return total


def key_ends(db: Database) -> None:
    """Writes an entry for each tenant whose chain does not end with a keyed hash; it will have one."""
    with db.write() as connection:
        events = [
            Event(tenant_id, "audit.keyed", SERVICE, None, None, {})
            for tenant_id, (_, digest) in _ends(connection).items()
            if not digest.startswith(_KEYED)
        ]
        append(db, connection, events)


def heads(db: Database) -> dict[str, tuple[int, str]]:
    """Number and hash of the last entry of each tenant's chain."""
    with db.read() as connection:
        return _ends(connection)


def lost_heads(db: Database, known: dict[str, tuple[int, str]]) -> list[str]:
    """The tenants whose chain no longer has the entry that was its end."""
    with db.read() as connection:
        return [
            tenant_id
            for tenant_id, (sequence, digest) in known.items()
            if connection.scalar(
                select(audit_log.c.hash).where(audit_log.c.tenant_id == tenant_id, audit_log.c.sequence == sequence)
            )
            != digest
        ]


def _ends(connection: Connection) -> dict[str, tuple[int, str]]:
    """Steps from tenant to tenant in the index of chains: a maximum by group would read all entries."""
    entry = audit_log.alias("entry")
    first = select(func.min(audit_log.c.tenant_id).label("id")).where(audit_log.c.sequence.is_not(None))
    owners = first.cte("owners", recursive=True)
    following = select(func.min(entry.c.tenant_id)).where(
        entry.c.sequence.is_not(None), entry.c.tenant_id > owners.c.id
    )
    owners = owners.union_all(select(following.scalar_subquery()).where(owners.c.id.is_not(None)))
    last = select(func.max(entry.c.sequence)).where(entry.c.tenant_id == owners.c.id)
    ends = select(owners.c.id, last.scalar_subquery().label("sequence")).cte("ends")
    rows = connection.execute(
        select(audit_log.c.tenant_id, audit_log.c.sequence, audit_log.c.hash).join(
            ends, (audit_log.c.tenant_id == ends.c.id) & (audit_log.c.sequence == ends.c.sequence)
        )
    )
    return {row.tenant_id: (row.sequence, row.hash) for row in rows}


def _chain_batch(db: Database, connection: Connection, key: bytes | None) -> int:
    waiting = select(audit_log).where(audit_log.c.hash.is_(None)).order_by(audit_log.c.id).limit(_BATCH)
    owners = sorted({row.tenant_id for row in connection.execute(waiting)})
    if not owners:
        return 0
    # The lock lets one transaction at a time continue a tenant's chain; it reads the chain's end after the lock.
    connection.execute(
        select(tenants.c.id).where(tenants.c.id.in_(owners)).order_by(tenants.c.id).with_for_update(key_share=True)
    )
    rows = connection.execute(waiting.where(audit_log.c.tenant_id.in_(owners))).all()
    ends = {owner: _end(connection, owner) for owner in owners}
    links = []
    for row in rows:
        sequence, previous = ends[row.tenant_id]
        entry = AuditEntry(**_fields(row), sequence=sequence + 1, hash="")
        digest = digest_of(entry, previous, key)
        ends[row.tenant_id] = sequence + 1, digest
        links.append((row.id, sequence + 1, digest))
    if links:
        link = bulk.given_rows(db, "link", {"row": BigInteger(), "number": BigInteger(), "digest": Text()}, links)
        connection.execute(
            update(audit_log).where(audit_log.c.id == link.c.row).values(sequence=link.c.number, hash=link.c.digest)
        )
    return len(links)


def _end(connection: Connection, tenant_id: str) -> tuple[int, str]:
    """Number and hash of the last entry of a chain."""
    last = connection.execute(
        select(audit_log.c.sequence, audit_log.c.hash)
        .where(audit_log.c.tenant_id == tenant_id, audit_log.c.sequence.is_not(None))
        .order_by(audit_log.c.sequence.desc())
        .limit(1)
    ).first()
    return (last.sequence, last.hash) if last is not None else (0, GENESIS)


def _fields(row: Any) -> dict[str, Any]:
    names = ("tenant_id", "at", "action", "actor", "job_id", "image_id", "data")
    return {name: getattr(row, name) for name in names}


def digest_of(entry: AuditEntry, previous: str, key: bytes | None = None) -> str:
    """SHA-256 over the previous hash and the entry as JSON with sorted keys, no blanks, ASCII only.

    With a key: ``k1`` and 62 digits of the HMAC-SHA256 of the same.
    """
    text = json.dumps(as_json(entry), sort_keys=True, separators=(",", ":"))
    hashed = f"{previous}\n{text}".encode()
    if key is None:
        return hashlib.sha256(hashed).hexdigest()
    return _KEYED + hmac.new(key, hashed, hashlib.sha256).hexdigest()[:62]


def as_json(entry: AuditEntry) -> JsonObject:
    """An entry without its hash."""
    fields = {name: value for name, value in vars(entry).items() if name != "hash"}
    return fields | {"at": entry.at.astimezone(UTC).isoformat(timespec="microseconds")}


def from_json(line: JsonObject) -> AuditEntry:
    """An entry of an exported line (:func:`as_json` and ``hash``). Raises KeyError, TypeError, ValueError."""
    return AuditEntry(**{**line, "at": datetime.fromisoformat(line["at"])})


def chained_entries(db: Database, tenant_id: str | None = None) -> Iterator[AuditEntry]:
    """All chained entries, or one tenant's: tenant by tenant, in chain order, read page by page."""
    owner, number = tenant_id or "", 0
    while True:
        query = select(audit_log).where(audit_log.c.hash.is_not(None))
        if tenant_id is not None:
            query = query.where(audit_log.c.tenant_id == tenant_id, audit_log.c.sequence > number)
        else:
            # One comparison, by which each page begins in the index where the last one ended.
            query = query.where(tuple_(audit_log.c.tenant_id, audit_log.c.sequence) > tuple_(owner, number))
        with db.read() as connection:
            rows = connection.execute(query.order_by(audit_log.c.tenant_id, audit_log.c.sequence).limit(_BATCH)).all()
        for row in rows:
            yield AuditEntry(**_fields(row), sequence=row.sequence, hash=row.hash)
        if len(rows) < _BATCH:
            return
        owner, number = rows[-1].tenant_id, rows[-1].sequence


def unchained(db: Database, *, older_than_s: float = 0) -> int:
    """Number of entries that are not chained yet, of those older than ``older_than_s``."""
    waiting = audit_log.c.hash.is_(None), audit_log.c.at <= db.after(-older_than_s)
    with db.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(audit_log).where(*waiting)) or 0)


def entries_of_job(db: Database, job_id: str) -> list[AuditEntry]:
    """What was done to a job as a whole, and by whom, oldest first; also after its deletion. Images are left out."""
    query = (
        select(audit_log).where(audit_log.c.job_id == job_id, audit_log.c.image_id.is_(None)).order_by(audit_log.c.id)
    )
    with db.read() as connection:
        return [_entry(row) for row in connection.execute(query)]


class Verification:
    """Verifies entries in chain order; ``flaws`` holds the first of each chain, ``heads`` their ends.

    ``key``: the one that :func:`chain` had. Chains from before the key begin without it.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self.entries = 0
        self.flaws: dict[str, Flaw] = {}
        #: tenant id -> (sequence, hash) of the last entry. A copy elsewhere proves that no entry was cut off the end.
        self.heads: dict[str, tuple[int, str]] = {}

    def see(self, entry: AuditEntry) -> None:
        """Verifies the next entry."""
        self.entries += 1
        sequence, previous = self.heads.get(entry.tenant_id, (0, GENESIS))
        self.heads[entry.tenant_id] = entry.sequence, entry.hash
        if entry.tenant_id in self.flaws:
            return
        reason = None
        if entry.sequence != sequence + 1:
            reason = f"entry {sequence + 1} is missing"
        elif entry.hash.startswith(_KEYED) and self._key is None:
            reason = "the entry cannot be checked without the key of the audit log"
        elif previous.startswith(_KEYED) and not entry.hash.startswith(_KEYED):
            reason = "the entry was chained without the key of the audit log"
        elif digest_of(entry, previous, self._key if entry.hash.startswith(_KEYED) else None) != entry.hash:
            reason = "the entry is not as it was written"
        if reason is not None:
            self.flaws[entry.tenant_id] = Flaw(entry.tenant_id, entry.sequence, reason)

    def finish(self) -> None:
        """Adds the flaw of each chain that ends without the key, though there is one."""
        for tenant_id, (sequence, digest) in self.heads.items():
            if self._key is not None and not digest.startswith(_KEYED) and tenant_id not in self.flaws:
                reason = (
                    "the chain ends without the key of the audit log: it was written anew, or no dispatcher with the "
                    "key has run yet"
                )
                self.flaws[tenant_id] = Flaw(tenant_id, sequence, reason)


@dataclass(frozen=True, kw_only=True)
class EntryFilter:
    """The entries that a person looks for; those of single images are left out."""

    #: The first part of the action: ``job``, ``template``, ``key``. Empty: any.
    subject: str = ""
    job_id: str = ""
    #: Text that the actor contains.
    actor: str = ""


def find_entries(db: Database, tenant_id: str | None, only: EntryFilter, *, limit: int) -> list[AuditEntry]:
    """The newest entries that match, of one tenant or of all, without those of single images."""
    query = select(audit_log).where(audit_log.c.image_id.is_(None)).order_by(audit_log.c.id.desc()).limit(limit)
    if tenant_id is not None:
        query = query.where(audit_log.c.tenant_id == tenant_id)
    if only.subject:
        query = query.where(audit_log.c.action.startswith(f"{only.subject}.", autoescape=True))
    if only.job_id:
        query = query.where(audit_log.c.job_id == only.job_id)
    if only.actor:
        query = query.where(audit_log.c.actor.icontains(only.actor, autoescape=True))
    with db.read() as connection:
        return [_entry(row) for row in connection.execute(query)]


def _entry(row: Row[Any]) -> AuditEntry:
    """An entry; one that is not chained yet has the sequence 0 and no hash."""
    return AuditEntry(**_fields(row), sequence=row.sequence or 0, hash=row.hash or "")


def latest_entries(db: Database, tenant_id: str | None, *, limit: int) -> list[AuditEntry]:
    """The newest entries, of one tenant or of all; entries not chained yet have the sequence 0 and no hash."""
    query = select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
    with db.read() as connection:
        if tenant_id is None:
            rows = list(connection.execute(query))
        else:
            # Those that are not chained are the newest, and few; the chain has an index by tenant.
            mine = audit_log.c.tenant_id == tenant_id
            chained = select(audit_log).where(mine, audit_log.c.sequence.is_not(None))
            rows = list(connection.execute(query.where(mine, audit_log.c.hash.is_(None))))
            rows += connection.execute(chained.order_by(audit_log.c.sequence.desc()).limit(limit - len(rows)))
    return [_entry(row) for row in rows]
