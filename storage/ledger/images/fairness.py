"""Whose turn it is: start-time fair queueing (Goyal, Vin, Cheng 1996) over tenants, then the job that waited longest.

A tenant's turn costs its images divided by its weight, on a virtual clock that all share. Who was away joins at the
clock's present time: it is served soon, and has saved nothing up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from storage.records import Priority


@dataclass
class Turns:
    """A tenant on the virtual clock."""

    tenant_id: str
    weight: float
    began: float
    ended: float
    #: Place among those whose turn it is at the same time.
    rank: int
    #: Whether it had a turn since it was read.
    served: bool = False


@dataclass
class FairQueue:
    """Who waits, by priority. ``now`` is the virtual time: when the last turn began."""

    now: float
    tenants: dict[str, Turns] = field(default_factory=dict)
    _jobs: dict[Priority, dict[str, list[str]]] = field(default_factory=lambda: {lane: {} for lane in Priority})

    def join(self, turns: Turns, priority: Priority, job_id: str) -> None:
        """A job gets in line, behind those of its tenant that came before."""
        self.tenants.setdefault(turns.tenant_id, turns)
        self._jobs[priority].setdefault(turns.tenant_id, []).append(job_id)

    def waits(self, priority: Priority) -> bool:
        return bool(self._jobs[priority])

    def next(self, priority: Priority) -> tuple[str, str]:
        """Tenant and job whose turn it is; tell :meth:`served` or :meth:`leave` of the job."""
        tenant = min(
            (self.tenants[tenant_id] for tenant_id in self._jobs[priority]),
            key=lambda turns: (max(self.now, turns.ended), turns.rank),
        )
        return tenant.tenant_id, self._jobs[priority][tenant.tenant_id][0]

    def served(self, priority: Priority, tenant_id: str, images: int) -> None:
        """The turn's job goes to the end of its tenant's line, and the tenant to its place among the others."""
        turns = self.tenants[tenant_id]
        self.now = turns.began = max(self.now, turns.ended)
        turns.ended = turns.began + images / turns.weight
        turns.rank = 1 + max(other.rank for other in self.tenants.values())
        turns.served = True
        jobs = self._jobs[priority][tenant_id]
        jobs.append(jobs.pop(0))

    def leave(self, priority: Priority, tenant_id: str, job_id: str) -> None:
        """Nothing of the job waits any more."""
        jobs = self._jobs[priority][tenant_id]
        jobs.remove(job_id)
        if not jobs:
            del self._jobs[priority][tenant_id]

    def had_turns(self) -> Iterable[Turns]:
        """Tenants that were served, by id."""
        return sorted((turns for turns in self.tenants.values() if turns.served), key=lambda turns: turns.tenant_id)
