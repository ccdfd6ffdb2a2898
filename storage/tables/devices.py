"""Devices of all machines, as their supervisors report them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Integer, String, Table, Text

from storage.tables.columns import metadata, time_column

# Reported a few times a minute. A row without a recent report is out of date.
devices = Table(
    "devices",
    metadata,
    # Host and process id of the supervisor.
    Column("supervisor", String(200), primary_key=True),
    Column("device", String(60), primary_key=True),
    Column("host", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    # Why the process does not work: a code and a sentence.
    Column("reason", Text),
    # Deaths of its process, images that it has ended since the last start, and its current rate.
    Column("deaths", Integer, nullable=False),
    Column("images", BigInteger, nullable=False),
    Column("images_per_second", Float, nullable=False),
    # In bytes: of the process, and of the device. Empty: not known for this kind of device.
    Column("resident_bytes", BigInteger, nullable=False),
    Column("memory_used", BigInteger),
    Column("memory_total", BigInteger),
    Column("temperature_c", Integer),
    time_column("told_at", nullable=False),
)
