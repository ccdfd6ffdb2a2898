"""Start-time fair queueing (Goyal, Vin, Cheng 1996) over tenants; within a tenant, the job with the longest wait.

A tenant's turn costs its images divided by its weight, on a virtual clock that all share. An idle tenant rejoins at the
current virtual time: it is served soon, and gets no credit for the idle time.
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
    #: Order among tenants with the same virtual time.
    rank: int
    #: Whether it had a turn after it was read.
    served: bool = False


@dataclass
class FairQueue:
    """Jobs that wait, by priority and tenant. ``now`` is the virtual time: the beginning of the last turn."""

    now: float
    tenants: dict[str, Turns] = field(default_factory=dict)
    _jobs: dict[Priority, dict[str, list[str]]] = field(default_factory=lambda: {lane: {} for lane in Priority})

    def join(self, turns: Turns, priority: Priority, job_id: str) -> None:
        """Adds a job behind the others of its tenant."""
        self.tenants.setdefault(turns.tenant_id, turns)
        self._jobs[priority].setdefault(turns.tenant_id, []).append(job_id)

    def waits(self, priority: Priority) -> bool:
        return bool(self._jobs[priority])

    def next(self, priority: Priority) -> tuple[str, str]:
        """Tenant and job whose turn it is. The caller then calls :meth:`served` or :meth:`leave`."""
        tenant = min(
            (self.tenants[tenant_id] for tenant_id in self._jobs[priority]),
            key=lambda turns: (max(self.now, turns.ended), turns.rank),
        )
        return tenant.tenant_id, self._jobs[priority][tenant.tenant_id][0]

    def served(self, priority: Priority, tenant_id: str, images: int) -> None:
        """Ends a turn: the job goes to the end of its tenant's queue, the tenant to its place among the others."""
        turns = self.tenants[tenant_id]
        self.now = turns.began = max(self.now, turns.ended)
        turns.ended = turns.began + images / turns.weight
        turns.rank = 1 + max(other.rank for other in self.tenants.values())
        turns.served = True
        jobs = self._jobs[priority][tenant_id]
        jobs.append(jobs.pop(0))

    def leave(self, priority: Priority, tenant_id: str, job_id: str) -> None:
        """Removes a job without ready images."""
        jobs = self._jobs[priority][tenant_id]
        jobs.remove(job_id)
        if not jobs:
            del self._jobs[priority][tenant_id]

    def had_turns(self) -> Iterable[Turns]:
        """The tenants that were served, by id."""
        return sorted((turns for turns in self.tenants.values() if turns.served), key=lambda turns: turns.tenant_id)
