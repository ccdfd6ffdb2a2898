"""The family of processes, in a separate process: it ends every child that it did not start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cleanplate.base.processes import CRASH_LOOP, FIRST_PAUSE_S, LONGEST_PAUSE_S, SETTLED_S, Child
from tests.running import REPOSITORY, kill, processes_with, until

#: Prints its process id and that of a grandchild in a separate session, and stays; it ignores SIGTERM on request. With
#: "orphan" the grandchild is one whose parent has ended, and ends itself.
PROGRAM = """
import json, os, signal, subprocess, sys, time
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "orphan" in sys.argv:
    middle = "import subprocess; print(subprocess.Popen(['true']).pid)"
    below = int(subprocess.check_output([sys.executable, "-c", middle]))
else:
    below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True).pid
with open(sys.argv[1], "a") as file:
    file.write(json.dumps([os.getpid(), below]) + "\\n")
time.sleep(600)
"""
PARENT = """
import os, signal, sys, threading
from cleanplate.base.processes import Family
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
family = Family(os.environ)
family.start("program", [sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
while not stop.wait(0.05):
    family.tend()
family.stop(0.5)
"""


class Generations:
    """A parent with a family of one program, which starts a grandchild."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.mark = f"CLEANPLATE_TEST={folder}"
        self._told = folder / "told"
        name, value = self.mark.split("=", 1)
        self.parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, PROGRAM, str(self._told), *words],
            env=os.environ | {name: value},
            cwd=REPOSITORY,
            stderr=subprocess.DEVNULL,
        )

    def told(self) -> list[list[int]]:
        """Process ids of child and grandchild, for each start."""
        lines = self._told.read_text().splitlines() if self._told.exists() else []
        return [json.loads(line) for line in lines]

    def alive(self) -> dict[int, str]:
        return processes_with(self.mark)

    def end(self) -> None:
        self.parent.kill()
        self.parent.wait()
        for pid in self.alive():
            kill(pid)


@pytest.fixture
def generations(tmp_path: Path) -> Iterator[Generations]:
    family = Generations(tmp_path)
    until(family.told, "the program did not start")
    yield family
    family.end()


def test_a_child_that_dies_is_started_again_and_what_it_left_is_ended(generations: Generations) -> None:
    child, grandchild = generations.told()[0]
    kill(child)
    until(lambda: len(generations.told()) == 2, "it was not started again")
    assert grandchild not in generations.alive()
    assert set(generations.told()[1]) <= set(generations.alive())


def test_stopping_ends_grandchildren_in_other_sessions(generations: Generations) -> None:
    generations.parent.terminate()
    assert generations.parent.wait(30) == 0
    assert generations.alive() == {}


def test_an_orphan_that_has_ended_does_not_stay_as_a_zombie_while_the_child_lives(tmp_path: Path) -> None:
    generations = Generations(tmp_path, "orphan")
    try:
        [[_, orphan]] = until(generations.told, "the program did not start")
        until(lambda: not Path(f"/proc/{orphan}").exists(), "nobody asked for its status")
    finally:
        generations.end()


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    generations = Generations(tmp_path, "stubborn")
    try:
        until(generations.told, "the program did not start")
        generations.parent.terminate()
        assert generations.parent.wait(30) == 0
        assert generations.alive() == {}
    finally:
        generations.end()


def test_children_are_told_when_their_parent_is_killed(generations: Generations) -> None:
    child, _ = generations.told()[0]
    kill(generations.parent.pid)
    assert generations.parent.wait(30) == -signal.SIGKILL
    until(lambda: child not in generations.alive(), "the child outlived its parent")


def test_pauses_double_up_to_a_bound_and_start_over_after_a_settled_life() -> None:
    child = Child("program", [])
    pauses = [child.count_death(lived_s=1) for _ in range(20)]
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert child.count_death(lived_s=SETTLED_S) == FIRST_PAUSE_S


#: Restarts a dying child until it is in a crash loop, on a separate clock; then prints the number of deaths.
DYING = """
import os, sys
from cleanplate.base.processes import CRASH_LOOP, LONGEST_PAUSE_S, SETTLED_S, Family
from cleanplate.base.settings import Settings
from cleanplate.telemetry import logs
logs.configure(Settings())
now = 0.0
family = Family(os.environ, clock=lambda: now)
program = "import os; raise SystemExit(int(os.environ['OWN']))"
child = family.start("program", [sys.executable, "-c", program], {"OWN": "7"})
while not child.in_crash_loop:
    child.process.wait()
    now += 0.1
    family.tend()
    now += LONGEST_PAUSE_S
    family.tend()
print("deaths", child.deaths, CRASH_LOOP)
child.command = [sys.executable, "-c", "import time; time.sleep(600)"]
child.process.wait()
family.tend()
assert family.failing() == [child]
now += LONGEST_PAUSE_S
family.tend()
assert child.alive and family.failing() == [child]
now += SETTLED_S
assert family.failing() == []
family.stop(0.5)
"""


def test_child_that_keeps_dying_is_in_a_crash_loop_until_it_has_lived_for_a_while() -> None:
    # In a separate process, because a family ends every child that it does not know.
    run = subprocess.run(
        [sys.executable, "-c", DYING], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert f"deaths {CRASH_LOOP} {CRASH_LOOP}" in run.stdout
    events = [json.loads(line) for line in run.stderr.splitlines()]
    assert [event["deaths"] for event in events if event["event"] == "process.crash_loop"] == [
        CRASH_LOOP,
        CRASH_LOOP + 1,
    ]
    assert [event["status"] for event in events if event["event"] == "process.died"] == [7] * (CRASH_LOOP + 1)
