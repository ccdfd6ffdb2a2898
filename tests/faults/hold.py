"""Holds workers in the middle of a picture or of an estimate: a test need not be quicker than they are.

A program takes it from ``sitecustomize``, which Python imports at its start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: Wraps the one method by which work notes how far it has come, once the worker imports its module.
_PROGRAM = """
import importlib.abc, importlib.util, os, sys, time

def holding(note_progress):
    def noted(lease, held_id, progress):
        note_progress(lease, held_id, progress)
        begun = progress[0] if isinstance(progress, tuple) else True
        while begun and any(word in ("all", held_id) for word in open(os.environ["TEST_HOLD"]).read().split()):
            time.sleep(0.02)
    return noted

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "workers.device.lease":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            module.Lease.note_progress = holding(module.Lease.note_progress)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""


class Hold:
    """Work that is held keeps its lease, and its heartbeats write the progress at which it stopped."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state"
        self.release()
        (folder / "sitecustomize.py").write_text(_PROGRAM)

    def hold(self, *ids: str) -> None:
        """Hold these images and templates, or all, at the first progress that they note from now on."""
        self._write(" ".join(ids or ("all",)))

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold all of them, until the block ends or they are released before."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        self._write("")

    def _write(self, words: str) -> None:
        draft = self._state.with_suffix(".draft")
        draft.write_text(words)
        draft.replace(self._state)


@contextmanager
def hold_in(folder: Path) -> Iterator[Hold]:
    """Workers that are started during the block can be held."""
    with pytest.MonkeyPatch.context() as patch:
        hold = Hold(folder)
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        patch.setenv("TEST_HOLD", str(folder / "state"))
        yield hold
