"""``audit job|verify|export``: the log of submissions and rights, straight from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.commands.extras import needs

if TYPE_CHECKING:
    from storage.database import Database
    from storage.records import AuditEntry

#: Seconds after which an entry should be in its chain: a dispatcher chains every few.
STALE_S = 600.0

app = typer.Typer(help="The audit log. The commands read the ledger itself.", no_args_is_help=True)


def _tenant_id(database: Database, name: str | None) -> str | None:
    from cleanplate.errors import UsageError
    from storage.ledger.tenants.tenants import find_tenant

    if name is None:
        return None
    tenant_id = find_tenant(database, name)
    if tenant_id is None:
        raise UsageError(f"There is no tenant {name!r}.")
    return tenant_id


@app.command(cls=needs("ledger"))
def export(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's entries. Without it: all.")] = None,
) -> None:
    """Print the audit log as JSON Lines, one entry with its hash per line; entries of the last seconds have none yet.

    Example: `cleanplate audit export --tenant acme > acme-audit.jsonl`
    """
    import json

    from cleanplate.commands.keys import ledger
    from storage.ledger.operations.audit import as_json, chained_entries

    with ledger() as database:
        for entry in chained_entries(database, _tenant_id(database, tenant)):
            typer.echo(json.dumps({**as_json(entry), "hash": entry.hash}, sort_keys=True))


@app.command(cls=needs("ledger"))
def job(job_id: Annotated[str, typer.Argument(metavar="JOB", help="The job, by its id; it may be deleted.")]) -> None:
    """Print what was done to a job, when and by whom: submitted, paused, canceled, retried, deleted.

    Example: `cleanplate audit job job_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f`
    """
    from cleanplate.commands.keys import ledger
    from cleanplate.errors import UsageError
    from cleanplate.terminal.tables import print_table
    from storage.ledger.operations.audit import entries_of_job
    from storage.ledger.tenants.tenants import list_keys

    with ledger() as database:
        entries = entries_of_job(database, job_id)
        names = {f"key:{key.id}": key.name for key in list_keys(database)}
    if not entries:
        raise UsageError(f"The audit log has no entry of {job_id}.")
    print_table(
        ("at", "action", "by", "key's name"),
        (
            (entry.at.isoformat(timespec="seconds"), entry.action, entry.actor, names.get(entry.actor, ""))
            for entry in entries
        ),
    )


@app.command(cls=needs("ledger"))
def verify(
    file: Annotated[
        Path | None, typer.Argument(help="An exported log. Without it: the ledger's own, with its newest entries.")
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            help="TENANT:SEQUENCE:HASH as an earlier run printed it; proves that no entry up to there was removed or "
            "rewritten. May be given several times."
        ),
    ] = None,
) -> None:
    """Check the hash chain of the audit log; exit status 1 if an entry was changed, removed or inserted.

    It only reads. The ends of the chains that the dispatcher keeps in the object store every hour are checked too.
    Prints the end of each tenant's chain. Keep that line elsewhere and pass it to a later run as `--head`.

    Example: `cleanplate audit verify`
    """
    from contextlib import ExitStack

    from cleanplate.base.settings import load_settings
    from cleanplate.commands.keys import ledger
    from storage.audit_heads import audit_key, read_heads
    from storage.blobs import open_blobs
    from storage.ledger.operations.audit import Verification, chained_entries, unchained

    missing_heads = {_head(text) for text in head or []}
    settings = load_settings()
    verification = Verification(audit_key(settings))
    waiting = 0
    with ExitStack() as stack:
        if file is None:
            database = stack.enter_context(ledger())
            missing_heads |= set(read_heads(open_blobs(settings)))
            waiting = unchained(database, older_than_s=STALE_S)
            entries = chained_entries(database)
        else:
            entries = _read(file)
        for entry in entries:
            verification.see(entry)
            missing_heads.discard((entry.tenant_id, entry.sequence, entry.hash))
    verification.finish()
    for flaw in verification.flaws.values():
        typer.echo(f"{flaw.tenant_id}, entry {flaw.sequence}: {flaw.reason}.", err=True)
    for tenant_id, sequence, _ in sorted(missing_heads):
        typer.echo(f"{tenant_id}, entry {sequence}: it is not the entry that was kept, or no longer.", err=True)
    for tenant_id, (sequence, digest) in verification.heads.items():
        typer.echo(f"{tenant_id}:{sequence}:{digest}")
    if waiting:
        typer.echo(
            f"{waiting} entries are older than {STALE_S:g} s and in no chain: no dispatcher runs, or somebody took "
            "them out of it.",
            err=True,
        )
    if verification.flaws or missing_heads or waiting:
        raise typer.Exit(1)
    typer.echo(f"{verification.entries} entries, all as they were written.", err=True)


def _head(text: str) -> tuple[str, int, str]:
    from cleanplate.errors import UsageError

    tenant_id, _, rest = text.partition(":")
    sequence, _, digest = rest.partition(":")
    if not tenant_id or not sequence.isdecimal() or not digest:
        raise UsageError(f"{text!r} is not TENANT:SEQUENCE:HASH, as `cleanplate audit verify` prints it.")
    return tenant_id, int(sequence), digest


def _read(file: Path) -> Iterator[AuditEntry]:
    import json

    from cleanplate.errors import UsageError
    from storage.ledger.operations.audit import from_json

    try:
        with file.open() as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield from_json(json.loads(line))
                except (ValueError, KeyError, TypeError):
                    raise UsageError(f"{file}, line {number}: this is not an entry of an audit log.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}.") from None
