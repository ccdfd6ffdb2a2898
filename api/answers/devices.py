"""Devices of workers' machines."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from api.answers.base import Answer


class Device(Answer):
    """A device of a worker's machine, and the process that works on it."""

    model_config = ConfigDict(from_attributes=True)

    host: str = Field(examples=["gpu-03"])
    device: str = Field(description="Of its host.", examples=["cuda0"])
    state: Literal["starting", "working", "waiting", "crash_loop", "draining"] = Field(
        description="`waiting` for the next start of its process; in a `crash_loop` that has failed again and again."
    )
    deaths: int = Field(description="Times that its process died.")
    images: int = Field(description="Ended since its process began.")
    images_per_second: float = Field(description="Over the last minute.")
    resident_bytes: int = Field(description="Memory of the process.")
    memory_used: int | None = Field(description="Of the device, in bytes; null where that is not known.")
    memory_total: int | None
    temperature_c: int | None
    told_at: datetime


class Devices(Answer):
    """Devices of all machines."""

    data: list[Device]
