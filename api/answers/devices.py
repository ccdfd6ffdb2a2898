"""Devices of workers' machines."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from api.answers.base import Answer


class Device(Answer):
    """A device of a worker machine, and the process that uses it."""

    model_config = ConfigDict(from_attributes=True)

    host: str = Field(examples=["gpu-03"])
    device: str = Field(description="Its name on the host.", examples=["cuda0"])
    state: Literal["starting", "working", "waiting", "crash_loop", "draining"] = Field(
        description="`waiting`: for the next start of its process. `crash_loop`: the process died again and again."
    )
    reason: str | None = Field(description="Why its process does not work: a code and a sentence; null while it works.")
    deaths: int = Field(description="Number of times that its process died.")
    images: int = Field(description="Images that ended since its process began.")
    images_per_second: float = Field(description="Over the last minute.")
    resident_bytes: int = Field(description="Memory of the process, in bytes.")
    memory_used: int | None = Field(description="Memory of the device in use, in bytes; null where unknown.")
    memory_total: int | None = Field(description="Memory of the device, in bytes; null where unknown.")
    temperature_c: int | None
    told_at: datetime


class Devices(Answer):
    """The devices of all worker machines."""

    data: list[Device]
