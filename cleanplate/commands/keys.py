"""``keys create|list|revoke``: API keys, straight in the ledger."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.commands.extras import needs

if TYPE_CHECKING:
    from storage.database import Database

app = typer.Typer(
    help="API keys. The commands change the ledger itself: run them with its settings.", no_args_is_help=True
)


class Scope(StrEnum):
    """The scopes of `storage.records`, which the help text does not import."""

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"


def operator() -> str:
    """Who runs the command, as the audit log names him: the account and the machine."""
    return f"cli:{getpass.getuser()}@{socket.gethostname()}"


DAY_S = 24 * 3600


@contextmanager
def ledger() -> Iterator[Database]:
    """The ledger of the settings, at the current schema."""
    from cleanplate.base.settings import load_settings
    from cleanplate.errors import UsageError
    from storage.database import Database

    database = Database.connect(load_settings().sqlalchemy_url)
    try:
        if not database.schema_is_current():
            raise UsageError("The ledger is not at this version's schema: run `cleanplate migrate` first.")
        yield database
    finally:
        database.close()


@app.command(cls=needs("ledger"))
def create(
    name: Annotated[str, typer.Argument(help="Purpose of the key, for the list.")],
    tenant: Annotated[str, typer.Option(help="Tenant of the key; created if new.")] = "local",
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="Permission; may be given several times. Without it: all."),
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires. Without it: never.")] = None,
) -> None:
    """Create a key and print it, this once: only its hash is stored.

    Example: `cleanplate keys create "catalogue import" --tenant acme --scope submit --scope read --days 90`
    """
    from storage import records
    from storage.ledger.tenants.tenants import create_key, ensure_tenant

    with ledger() as database:
        key, secret = create_key(
            database,
            ensure_tenant(database, tenant),
            name,
            scopes=[records.Scope(chosen) for chosen in scope or list(Scope)],
            expires_in_s=None if days is None else days * DAY_S,
            actor=operator(),
        )
    typer.echo(f"Created {key.id} for tenant {tenant}. The key is shown this once:", err=True)
    typer.echo(secret)


@app.command(name="list", cls=needs("ledger"))
def list_() -> None:
    """List the keys of all tenants, without their secrets.

    Example: `cleanplate keys list`
    """
    from cleanplate.terminal.tables import minute, print_table
    from storage.ledger.tenants.tenants import list_keys

    with ledger() as database:
        keys = list_keys(database)
    print_table(
        ("id", "tenant", "name", "begins with", "scopes", "made", "last used", "expires", "revoked"),
        (
            (
                key.id,
                key.tenant_id,
                key.name,
                key.prefix,
                " ".join(sorted(key.scopes)),
                minute(key.created_at),
                minute(key.last_used_at),
                minute(key.expires_at),
                minute(key.revoked_at),
            )
            for key in keys
        ),
    )


@app.command(cls=needs("ledger"))
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, from `cleanplate keys list`.")]) -> None:
    """Revoke a key.

    Example: `cleanplate keys revoke key_0192f0c1a2b37c4d8e9f0a1b2c3d4e5f`
    """
    from storage.ledger.tenants.tenants import revoke_key

    with ledger() as database:
        revoke_key(database, key_id, actor=operator())
    typer.echo(f"{key_id} is revoked.")
