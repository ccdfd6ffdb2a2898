"""``tenants list|quota|weight``: tenants, their usage and their limits, straight in the ledger."""

from __future__ import annotations

from typing import Annotated

import typer

from cleanplate.commands.extras import needs

app = typer.Typer(help="Tenants and their quotas. The commands change the ledger itself.", no_args_is_help=True)


@app.command(name="list", cls=needs("ledger"))
def list_() -> None:
    """List the tenants with their usage today and their quotas (`-`: none).

    Example: `cleanplate tenants list`
    """
    from cleanplate.commands.keys import ledger
    from cleanplate.terminal.tables import print_table
    from storage.ledger.tenants.quotas import get_usage
    from storage.ledger.tenants.tenants import list_tenants, weight_of

    def of(used: int, limit: int | None) -> str:
        return f"{used} of {'-' if limit is None else limit}"

    with ledger() as database:
        rows = [
            (tenant_id, name, get_usage(database, tenant_id), weight_of(database, tenant_id))
            for tenant_id, name in list_tenants(database)
        ]
    print_table(
        ("id", "name", "images today", "in flight", "bytes today", "weight"),
        (
            (
                tenant_id,
                name,
                of(usage.images_today, usage.quota.images_per_day),
                of(usage.images_in_flight, usage.quota.images_in_flight),
                of(usage.bytes_today, usage.quota.bytes_per_day),
                f"{weight:g}",
            )
            for tenant_id, name, usage, weight in rows
        ),
    )


@app.command(cls=needs("ledger"))
def quota(
    name: Annotated[str, typer.Argument(help="The tenant; created if new.")],
    *,
    images_per_day: Annotated[int | None, typer.Option(min=0, help="Images in its jobs by day of UTC.")] = None,
    images_in_flight: Annotated[int | None, typer.Option(min=0, help="Images queued or running at once.")] = None,
    bytes_per_day: Annotated[
        int | None, typer.Option(min=0, help="Bytes of its uploads by day of UTC; it must then announce their sizes.")
    ] = None,
) -> None:
    """Set all quotas of a tenant; an option that is not given removes its limit.

    Example: `cleanplate tenants quota acme --images-per-day 50000 --images-in-flight 20000`
    """
    from cleanplate.commands.keys import ledger
    from storage.ledger.tenants.quotas import set_quota
    from storage.ledger.tenants.tenants import ensure_tenant
    from storage.records import Quota

    with ledger() as database:
        set_quota(
            database,
            ensure_tenant(database, name),
            Quota(images_per_day=images_per_day, images_in_flight=images_in_flight, bytes_per_day=bytes_per_day),
        )
    typer.echo(f"The quotas of {name} are set.")


@app.command(cls=needs("ledger"))
def weight(
    name: Annotated[str, typer.Argument(help="The tenant; created if new.")],
    value: Annotated[float, typer.Argument(min=0.01, max=1000, help="Its weight; the default is 1.")],
) -> None:
    """Set a tenant's share of the workers while several tenants have queued images: 2 gets twice as much as 1.

    Example: `cleanplate tenants weight acme 2`
    """
    from cleanplate.commands.keys import ledger
    from storage.ledger.tenants.tenants import ensure_tenant, set_weight

    with ledger() as database:
        set_weight(database, ensure_tenant(database, name), value)
    typer.echo(f"The weight of {name} is {value:g}.")
