"""The networks that jobs ask for beside the process's own: loaded at the first use, few at once.

A network stays loaded while somebody uses it; of the idle ones only the last used is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from cleanplate.base.options import JobOptions
from cleanplate.base.settings import Settings
from cleanplate.base.weights import find
from cleanplate.errors import WeightsMissing
from workers.errors import ModelMissing

if TYPE_CHECKING:
    from model.engine.inpainter import LaMaInpainter

log = structlog.get_logger(__name__)

#: Idle networks that are kept.
_IDLE = 1


@dataclass
class _Loaded:
    inpainter: LaMaInpainter
    users: int = 0


class Networks:
    """The process's own network and others. Threads may share it."""

    def __init__(self, settings: Settings, own: LaMaInpainter) -> None:
        self._settings = settings
        self._own = own
        self._lock = threading.Lock()
        #: By name and weight of the spectral paths, the last used at the end.
        self._others: dict[tuple[str, float], _Loaded] = {}

    @contextmanager
    def use(self, options: JobOptions) -> Iterator[LaMaInpainter]:
        """The network that the options ask for, held while the block runs.

        Raises:
            ModelMissing: its weights are not on this machine.
        """
        asked = (options.model or self._settings.weights, 1.0 if options.ffc_lambda is None else options.ffc_lambda)
        if asked == (self._settings.weights, 1.0):
            yield self._own
            return
        with self._lock:
            loaded = self._others.pop(asked, None) or _Loaded(self._load(*asked))
            self._others[asked] = loaded
            loaded.users += 1
        try:
            yield loaded.inpainter
        finally:
            with self._lock:
                loaded.users -= 1
                self._drop(_IDLE)

    @property
    def stalled_s(self) -> float:
        """Of the networks beside the own one: the longest time for which tiles have been asked and none answered."""
        with self._lock:
            return max((loaded.inpainter.engine.load.stalled_s for loaded in self._others.values()), default=0.0)

    def close(self) -> None:
        """Close all but the process's own, which whoever opened it closes."""
        with self._lock:
            self._drop(0)

    def _load(self, name: str, ffc_lambda: float) -> LaMaInpainter:
        from model.engine.inpainter import LaMaInpainter

        try:
            weights = find(self._settings.model_copy(update={"weights": name}))
        except WeightsMissing as error:
            raise ModelMissing(f"This worker has no network {name!r}: its operator must pull its weights.") from error
        log.info("network.loaded", model=name, ffc_lambda=ffc_lambda)
        return LaMaInpainter(
            weights or "", self._settings.device, threads=self._settings.torch_threads, ffc_lambda=ffc_lambda
        )

    def _drop(self, kept: int) -> None:
        idle = [asked for asked, loaded in self._others.items() if not loaded.users]
        for asked in idle[: max(len(idle) - kept, 0)]:
            self._others.pop(asked).inpainter.close()
