"""``pause`` and ``resume``: an operator's pauses of a job, a tenant, or everything, straight in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from storage.database import Database

Job = Annotated[str | None, typer.Option(help="One job, by its id.")]
Tenant = Annotated[str | None, typer.Option(help="All jobs of a tenant, by its name.")]
Everything = Annotated[bool, typer.Option("--everything", help="All jobs of all tenants.")]


def pause(job: Job = None, tenant: Tenant = None, everything: Everything = False) -> None:
    """Pause a job, a tenant or everything, and return running images to the queue; without an option, list pauses.

    Workers stop at the next tile after their next heartbeat; the images lose no attempt. A tenant's own keys do not
    resume what the operator has paused.

    Example: `cleanplate pause --tenant acme`
    """
    from cleanplate.commands.keys import ledger
    from cleanplate.terminal.tables import print_table
    from storage.ledger.jobs import pauses
    from storage.records import PausedBy

    with ledger() as database:
        if job is None and tenant is None and not everything:
            print_table(("paused", "by"), ((subject, by.value) for subject, by in pauses.list_pauses(database)))
            return
        if job is not None:
            pauses.pause_job(database, pauses.owner_of(database, job), job, PausedBy.OPERATOR)
        if tenant is not None:
            pauses.pause_tenant(database, _tenant(database, tenant), PausedBy.OPERATOR)
        if everything:
            pauses.pause_everything(database)
    typer.echo("Paused.")


def resume(job: Job = None, tenant: Tenant = None, everything: Everything = False) -> None:
    """Resume a job, a tenant or everything. A job runs if neither it nor its tenant nor everything is paused.

    Example: `cleanplate resume --tenant acme`
    """
    from cleanplate.commands.keys import ledger
    from cleanplate.errors import UsageError
    from storage.ledger.jobs import pauses
    from storage.records import PausedBy

    if job is None and tenant is None and not everything:
        raise UsageError("Give --job, --tenant or --everything. `cleanplate pause` lists the pauses.")
    with ledger() as database:
        if job is not None:
            pauses.resume_job(database, pauses.owner_of(database, job), job, PausedBy.OPERATOR)
        if tenant is not None:
            pauses.resume_tenant(database, _tenant(database, tenant), PausedBy.OPERATOR)
        if everything:
            pauses.resume_everything(database)
    typer.echo("Resumed.")


def _tenant(database: Database, name: str) -> str:
    from storage.errors import NotFound
    from storage.ledger.tenants.tenants import find_tenant

    tenant_id = find_tenant(database, name)
    if tenant_id is None:
        raise NotFound("tenant", name)
    return tenant_id
