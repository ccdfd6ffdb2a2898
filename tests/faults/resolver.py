"""The name server of programs under test, for names under ``.test``: it answers, hangs or fails, as it is told.

A program takes it from ``sitecustomize``, which Python imports at its start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import pytest

_PROGRAM = """
import os, socket, time

_look_up = socket.getaddrinfo

def getaddrinfo(host, *given, **named):
    name = host.decode() if isinstance(host, bytes) else host
    if not (name or "").endswith(".test"):
        return _look_up(host, *given, **named)
    # The C library gives up after ten seconds by default: two attempts of five.
    until = time.monotonic() + 10
    while (way := open(os.environ["TEST_RESOLVER"]).read()) == "hangs" and time.monotonic() < until:
        time.sleep(0.05)
    if way != "answers":
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return _look_up("127.0.0.1", *given, **named)

socket.getaddrinfo = getaddrinfo
"""


class Answer(Enum):
    """What a look-up comes to."""

    #: This machine's address.
    ANSWERS = "answers"
    #: Nothing, until the C library gives up.
    HANGS = "hangs"
    #: A temporary failure, at once.
    FAILS = "fails"


class Resolver:
    """``answer`` may be changed at any time, also for look-ups that hang."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state"
        self.answer(Answer.ANSWERS)
        (folder / "sitecustomize.py").write_text(_PROGRAM)

    def answer(self, answer: Answer) -> None:
        draft = self._state.with_suffix(".draft")
        draft.write_text(answer.value)
        draft.replace(self._state)


@contextmanager
def resolver_in(folder: Path) -> Iterator[Resolver]:
    """Programs that are started during the block resolve names by it."""
    resolver = Resolver(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        patch.setenv("TEST_RESOLVER", str(folder / "state"))
        yield resolver
