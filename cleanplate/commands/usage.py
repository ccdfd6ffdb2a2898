"""``usage``: the work of the service for the key's tenant, by day, over the API."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cleanplate.client.answers import UsageWork


def usage(
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day of UTC; the default is 30 days ago.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day of UTC; the default is today.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Print what the service has done for your key's tenant: images with a result, and their sizes, by day.

    Example: `cleanplate usage --since 2026-05-01 --csv > may.csv`
    """
    from cleanplate.terminal.connection import connect
    from cleanplate.terminal.tables import print_table

    first, last = (None if day is None else day.date() for day in (since, until))
    with connect() as client:
        if csv:
            typer.echo(client.usage_csv(first, last), nl=False)
            return
        account = client.usage(first, last)
    rows = [(day.day.isoformat(), *_cells(day)) for day in account.data]
    print_table(("day", "images", "megapixels", "bytes", "device s"), [*rows, ("total", *_cells(account.total))])


def _cells(work: UsageWork) -> tuple[str, ...]:
    return str(work.images), f"{work.megapixels:.1f}", str(work.bytes), f"{work.device_seconds:.1f}"
