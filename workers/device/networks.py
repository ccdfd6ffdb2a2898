"""The networks that jobs ask for beside the process's own: loaded at the first use, few at once.

A network stays loaded while somebody uses it; of the idle ones only the last used is kept. Each file of weights is
loaded once, by whatever name jobs ask for it: ``ffc_lambda`` is an input of the loaded network.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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
        #: By the file of the weights, the last used at the end.
        self._others: dict[Path, _Loaded] = {}

    @contextmanager
    def use(self, options: JobOptions) -> Iterator[LaMaInpainter]:
        """The network that the options ask for, held while the block runs.

        Raises:
            ModelMissing: its weights are not on this machine.
        """
        if options.model is None or options.model == self._settings.weights:
            yield self._own
            return
        file = self._file_of(options.model)
        if file == self._own.weights:
            yield self._own
            return
        with self._lock:
            loaded = self._others.pop(file, None) or _Loaded(self._load(options.model, file))
            self._others[file] = loaded
            loaded.users += 1
        try:
            yield loaded.inpainter
        finally:
            with self._lock:
                loaded.users -= 1
                self._drop(_IDLE)

    @property
    def stalled_s(self) -> float:
        """The longest time, of all networks but the own one, for which tiles have waited and none was answered."""
        with self._lock:
            return max((loaded.inpainter.engine.load.stalled_s for loaded in self._others.values()), default=0.0)

    def close(self) -> None:
        """Close all but the process's own, which its opener closes."""
        with self._lock:
            self._drop(0)

    def _file_of(self, name: str) -> Path:
        from model.engine.inpainter import weights_file

        try:
            return weights_file(find(self._settings.model_copy(update={"weights": name})) or "")
        except WeightsMissing as error:
            raise ModelMissing(f"This worker has no network {name!r}: its operator must pull its weights.") from error

    def _load(self, name: str, file: Path) -> LaMaInpainter:
        from model.engine.inpainter import LaMaInpainter

        log.info("network.loaded", model=name)
        return LaMaInpainter(file, self._settings.device, threads=self._settings.torch_threads)

    def _drop(self, kept: int) -> None:
        idle = [file for file, loaded in self._others.items() if not loaded.users]
        for file in idle[: max(len(idle) - kept, 0)]:
            self._others.pop(file).inpainter.close()


def ffc_lambda_of(options: JobOptions) -> float:
    """The weight of the network's spectral paths: 1, as trained, where the options have none."""
    return 1.0 if options.ffc_lambda is None else options.ffc_lambda
