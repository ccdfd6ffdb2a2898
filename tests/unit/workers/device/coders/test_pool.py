"""Work on files in coders: the same answers and errors as in the process itself, and deaths that cost one question."""

from __future__ import annotations

import io
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cleanplate.base.processes import children_of
from model.errors import HostFull, ImageRejected, MaskRejected
from model.imaging import Limits, probe
from model.imaging.coding import decode
from tests.catalogue import HEIGHT, WIDTH, bar_mask, picture, png
from tests.running import is_alive, until
from workers.device.activity import Activity
from workers.device.coders import pool
from workers.device.coders.pool import Coders, OwnThreads
from workers.device.coders.wire import Slab
from workers.device.coders.work import Finished, Wishes, finish, read_sharing
from workers.errors import CoderLost, CodersDown

LIMITS = Limits(max_bytes=1 << 26, max_pixels=1 << 24)
MASK = png(bar_mask())
BYTES = 1 << 24


@pytest.fixture(scope="module")
def coders() -> Iterator[Coders]:
    opened = Coders(1, 240)
    yield opened
    opened.close()


def own_coders() -> list[int]:
    """Process ids of this process's coders."""
    return [coder for server in servers() for coder in children_of(server)]


def servers() -> list[int]:
    return [pid for pid in children_of(os.getpid()) if b"workers.device.coders.server" in command_of(pid)]


def command_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def the_coder(coders: Coders) -> int:
    coders.run(probe, 0, MASK, LIMITS)
    (pid,) = own_coders()
    return pid


def saved(kind: str, **how: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture()).save(file, kind, **how)
    return file.getvalue()


def animation() -> bytes:
    frames = [Image.fromarray(picture(seed)) for seed in range(3)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def cutout() -> bytes:
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[: HEIGHT // 2] = 0
    return png(np.concatenate((picture(), alpha), axis=2))


def deep() -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture()[..., 0].astype(np.uint16) * 257).save(file, "PNG")
    return file.getvalue()


def black_plate() -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture()).convert("CMYK").save(file, "TIFF")
    return file.getvalue()


@pytest.mark.parametrize(
    "source",
    [lambda: saved("JPEG", quality=90), lambda: saved("WEBP"), animation, cutout, deep, black_plate],
    ids=["jpeg", "webp", "animation", "cutout", "deep", "cmyk"],
)
def test_a_picture_becomes_the_same_file_in_a_coder(coders: Coders, source: Callable[[], bytes]) -> None:
    def made(coding: Coders | OwnThreads) -> Finished:
        task = coding.run(read_sharing, BYTES, source(), MASK, limits=LIMITS, dilation_px=3)
        fills = [255 - part.picture.pixels for part in task.parts]
        return coding.run(finish, BYTES, task, fills, Wishes(network="none"))

    apart, here = made(coders), made(OwnThreads(Activity()))
    assert apart.repaired.data == here.repaired.data
    assert apart.repaired.record == here.repaired.record
    assert apart.preview == here.preview
    assert (apart.method, apart.recovery) == (here.method, here.recovery)


def test_errors_are_those_of_the_work(coders: Coders) -> None:
    with pytest.raises(ImageRejected, match="not a picture in a known format") as unreadable:
        coders.run(probe, 0, b"no picture", LIMITS)
    assert unreadable.value.code == "image_unreadable"
    with pytest.raises(MaskRejected) as unfit:
        coders.run(read_sharing, BYTES, png(picture(1, 90, 70)), MASK, limits=LIMITS)
    assert unfit.value.code == "mask_size_mismatch"
    with pytest.raises(RuntimeError, match="TypeError"):
        coders.run(probe, 0, MASK)  # type: ignore[call-arg]
    assert coders.run(probe, 0, MASK, LIMITS).format == "PNG"


def test_a_coder_has_no_torch_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEANPLATE_SIGNING_KEY", "x" * 32)
    before = set(servers())
    coders = Coders(1, 240)
    try:
        coders.run(probe, 0, MASK, LIMITS)
        (server,) = set(servers()) - before
        assert b"CLEANPLATE_SIGNING_KEY" not in Path(f"/proc/{server}/environ").read_bytes()
        (coder,) = children_of(server)
        assert "libtorch" not in Path(f"/proc/{coder}/maps").read_text()
    finally:
        coders.close()


def test_a_coder_that_dies_costs_its_question_alone(coders: Coders, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = the_coder(coders)

    def written_and_killed(slab: Slab, question: object) -> tuple[bytes, int]:
        os.kill(victim, signal.SIGKILL)
        until(lambda: not alive(victim), "it lives on")
        return written(slab, question)

    written = pool.written
    monkeypatch.setattr(pool, "written", written_and_killed)
    with pytest.raises(CoderLost):
        coders.run(probe, 0, MASK, LIMITS)
    monkeypatch.undo()
    assert the_coder(coders) != victim


def alive(pid: int) -> bool:
    return pid in own_coders()


def test_one_that_died_without_work_costs_no_question(coders: Coders) -> None:
    victim = the_coder(coders)
    os.kill(victim, signal.SIGKILL)
    until(lambda: not alive(victim), "it lives on")
    assert the_coder(coders) != victim


def test_a_coder_that_hangs_is_killed_when_its_time_is_over() -> None:
    coders = Coders(1, 0.5)
    try:
        until(lambda: answers(coders), "no coder answers in time")
        (victim,) = set(own_coders()) - others(coders)
        os.kill(victim, signal.SIGSTOP)
        with pytest.raises(CoderLost, match="not done after"):
            coders.run(probe, 0, MASK, LIMITS)
        until(lambda: not alive(victim), "it lives on")
    finally:
        coders.close()


def answers(coders: Coders) -> bool:
    with suppress(CoderLost):
        return coders.run(probe, 0, MASK, LIMITS).format == "PNG"
    return False


def others(coders: Coders) -> set[int]:
    """Coders of other pools of this test's process."""
    (own,) = [coder for coder in coders._free.queue if coder is not None]
    return set(own_coders()) - {own._pid}


def test_a_coder_without_memory_is_replaced_and_the_picture_not_blamed(coders: Coders) -> None:
    victim = the_coder(coders)
    used = int(Path(f"/proc/{victim}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(victim, resource.RLIMIT_AS, (used + (1 << 20), resource.RLIM_INFINITY))
    with pytest.raises(HostFull):
        coders.run(decode, BYTES, MASK, LIMITS)
    assert the_coder(coders) != victim


def test_the_program_that_forks_coders_is_started_again(coders: Coders) -> None:
    victim = the_coder(coders)
    (server,) = servers()
    os.kill(server, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{victim}").exists(), "its coder lives on")
    assert coders.run(probe, 0, MASK, LIMITS).format == "PNG"


def test_where_no_coder_starts_the_picture_is_not_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    coders = Coders(1, 240)
    try:
        coders.run(probe, 0, MASK, LIMITS)
        left = own_coders()
        for server in set(servers()):
            os.kill(server, signal.SIGKILL)
        # Its coders notice that after it: until then they are nobody's children and still answer.
        until(lambda: not any(is_alive(pid) for pid in left), "coders live on")
        monkeypatch.setattr(pool, "python_command", lambda *_: [sys.executable, "-c", "raise SystemExit(1)"])
        for _ in range(2):
            with pytest.raises(CodersDown):
                coders.run(probe, 0, MASK, LIMITS)
        monkeypatch.undo()
        assert coders.run(probe, 0, MASK, LIMITS).format == "PNG"
    finally:
        coders.close()


def test_closed_coders_leave_no_process() -> None:
    before = set(servers())
    coders = Coders(2, 240)
    coders.run(probe, 0, MASK, LIMITS)
    (server,) = set(servers()) - before
    forked = children_of(server)
    assert forked
    coders.close()
    until(lambda: not any(is_alive(pid) for pid in (server, *forked)), "processes live on")
