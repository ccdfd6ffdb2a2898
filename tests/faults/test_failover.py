"""Two dispatchers: one leads; the other takes over within 10 s when the leader is killed, or hangs without dying."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cleanplate.base.settings import Settings
from tests.running import Running, kill, running, until

FAILOVER_S = 10.0


@pytest.fixture
def dispatcher(server_settings: Settings, tmp_path: Path) -> Iterator[Callable[[str], Running]]:
    """Starts dispatchers of one service."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(
            running("dispatch", settings=server_settings.environment(), log_path=tmp_path / name)
        )


def leads(process: Running) -> bool:
    return "dispatcher.leads" in process.log


@pytest.mark.parametrize("fault", [kill, lambda pid: os.kill(pid, signal.SIGSTOP)], ids=["killed", "hanging"])
def test_a_standby_follows_the_leader_in_time(
    dispatcher: Callable[[str], Running],
    fault: Callable[[int], None],
    record_property: Callable[[str, object], None],
) -> None:
    first = dispatcher("first.log")
    until(lambda: leads(first), lambda: first.log)
    second = dispatcher("second.log")
    until(lambda: "dispatcher.stands_by" in second.log or leads(second), lambda: second.log)
    assert not leads(second)
    fault(first.process.pid)
    started_at = time.monotonic()
    # The session ends, and the other dispatcher's next check finds that; with room for a busy machine.
    until(lambda: leads(second), lambda: second.log, within_s=3 * FAILOVER_S)
    record_property("failover_s", round(time.monotonic() - started_at, 1))
    if first.process.poll() is None:
        os.kill(first.process.pid, signal.SIGCONT)
        # Its session is gone, and it no longer leads.
        until(lambda: first.log.count("dispatcher.stands_by"), lambda: first.log)
