"""Decodes bytes of strangers in a process of their own, with limits on its memory and its time.

The API makes its views so, and a worker tries an image so that a worker before it did not come back from. Each call
starts one process, hands the file over by a pipe, and reads the answer::

    python -m model.imaging.apart view|decode MAX_BYTES MAX_PIXELS MEMORY SECONDS < FILE
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import BinaryIO

from pydantic import BaseModel

from model.errors import ImageRejected
from model.imaging.probing import Limits, probe
from model.imaging.view import View, view

if sys.platform != "win32":
    import resource

#: Memory of the process: for Python and its libraries, and of a view by pixel (16 are those of a large WebP).
_BASE_MEMORY, _BYTES_A_PIXEL = 1 << 30, 16
#: CPU-seconds: for the start, and those of a million pixels.
_BASE_SECONDS, _SECONDS_A_MEGAPIXEL = 20, 0.5
#: A busy machine gives a process less than a CPU: this many times the CPU-seconds may pass.
_PATIENCE = 5
#: The system's signals to a process that is over its CPU-seconds (signal(7)).
_SIGKILL, _SIGXCPU = 9, 24


class _Answer(BaseModel):
    """The first line of an answer; a view's bytes follow."""

    width: int = 0
    height: int = 0
    #: Of an error.
    code: str = ""
    sentence: str = ""


def view_apart(data: bytes, limits: Limits) -> View:
    """:func:`model.imaging.view.view` in a process of its own.

    Raises:
        ImageRejected: as there; ``image_takes_too_long`` or ``image_needs_too_much_memory`` where a limit ended it.
    """
    answer, body = _asked("view", data, limits)
    return View(body, answer.width, answer.height)


def try_decode(data: bytes, limits: Limits) -> None:
    """Decode a picture in a process of its own, and drop it.

    Raises:
        ImageRejected: as :func:`view_apart`.
    """
    _asked("decode", data, limits)


def _asked(task: str, data: bytes, limits: Limits) -> tuple[_Answer, bytes]:
    header = probe(data, limits)
    seconds = round(_BASE_SECONDS + _SECONDS_A_MEGAPIXEL * header.pixels / 1e6)
    memory = _BASE_MEMORY + (_BYTES_A_PIXEL * header.pixels if task == "view" else header.memory)
    numbers = (limits.max_bytes, limits.max_pixels, memory, seconds)
    command = [sys.executable, "-m", "model.imaging.apart", task, *map(str, numbers)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, input=data, capture_output=True, timeout=seconds * _PATIENCE, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise _too_long(seconds) from None
    line, _, body = done.stdout.partition(b"\n")
    if done.returncode == 0 and line:
        answer = _Answer.model_validate_json(line)
        if answer.code:
            raise ImageRejected(answer.code, answer.sentence)
        return answer, body
    if -done.returncode in (_SIGKILL, _SIGXCPU):
        raise _too_long(seconds)
    raise ImageRejected(
        "image_needs_too_much_memory",
        "The process that decodes the image ended without an answer, as with too little memory: export it again.",
    )


def _too_long(seconds: int) -> ImageRejected:
    return ImageRejected(
        "image_takes_too_long", f"The image was not decoded after {seconds} seconds of computing: export it again."
    )


def _serve(task: str, limits: Limits, memory: int, seconds: int, out: BinaryIO) -> None:
    """Answer one question, in the process of its own."""
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    body = b""
    try:
        data = sys.stdin.buffer.read()
        if task == "view":
            picture = view(data, limits)
            answer, body = _Answer(width=picture.width, height=picture.height), picture.data
        else:
            from model.imaging.coding import decode

            decode(data, limits)
            answer = _Answer()
    except ImageRejected as error:
        answer = _Answer(code=error.code, sentence=str(error))
    except MemoryError:
        answer = _Answer(
            code="image_needs_too_much_memory",
            sentence="The image needs more memory than its size explains: export it again.",
        )
    out.write(answer.model_dump_json().encode() + b"\n" + body)
    out.flush()


if __name__ == "__main__":
    name, *given = sys.argv[1:]
    max_bytes, max_pixels, most_memory, most_seconds = map(int, given)
    _serve(name, Limits(max_bytes, max_pixels), most_memory, most_seconds, sys.stdout.buffer)
