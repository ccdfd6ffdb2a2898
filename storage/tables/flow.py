"""What flows through the service, minute by minute, for the charts of operations."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table

from storage.tables.columns import metadata, time_column

# A row for each minute of the last day in which a dispatcher led.
flow = Table(
    "flow",
    metadata,
    # Its begin.
    time_column("minute", nullable=False, primary_key=True),
    # Images whose end was counted in it.
    Column("ended", BigInteger, nullable=False, server_default="0"),
    # Images that waited for a worker when the leader last looked. Empty: it has not looked.
    Column("waiting", BigInteger),
)
