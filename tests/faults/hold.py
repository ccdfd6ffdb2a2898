"""Holds workers in the middle of a picture or of an estimate: a test need not be quicker than they are.

A program takes it from ``sitecustomize``, which Python imports at its start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: Changes two modules once a program imports them: the method by which all work notes how far it has come, and what
#: coders are asked for.
_PROGRAM = """
import functools, importlib.abc, importlib.util, os, sys, time

STATE = os.environ["TEST_HOLD"]

def wait_while_held(*names):
    while any(name in names for name in open(STATE).read().split()):
        time.sleep(0.02)

def noting(note_progress):
    def noted(lease, held_id, progress):
        note_progress(lease, held_id, progress)
        if not isinstance(progress, tuple) or progress[0]:
            wait_while_held("all", held_id)
    return noted

def asked(work):
    @functools.wraps(work)
    def answered(*given, **named):
        if "coders" in open(STATE).read():
            with open(STATE + ".coder", "w") as file:
                file.write(str(os.getpid()))
        wait_while_held("coders")
        return work(*given, **named)
    return answered

def change_lease(module):
    module.Lease.note_progress = noting(module.Lease.note_progress)

def change_work(module):
    module.WORK.update({name: asked(work) for name, work in module.WORK.items()})

CHANGES = {"workers.device.lease": change_lease, "workers.device.coders.work": change_work}

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        change = CHANGES.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            change(module)
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

    def hold(self, *names: str) -> None:
        """Hold images and templates by their ids, or ``all``, at the first progress that they note from now on.

        ``coders``: hold these at the first question that they are asked.
        """
        self._state.with_suffix(".coder").unlink(missing_ok=True)
        self._write(" ".join(names))

    @contextmanager
    def holding(self, *names: str) -> Iterator[None]:
        """Hold them until the block ends, or until they are released before."""
        self.hold(*names)
        try:
            yield
        finally:
            self.release()

    def coder(self) -> int | None:
        """The process id of a coder that was asked since coders are held."""
        try:
            return int(self._state.with_suffix(".coder").read_text())
        except (FileNotFoundError, ValueError):  # none yet, or it is being written
            return None

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
