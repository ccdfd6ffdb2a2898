"""``python -m workers.device.coders.server SOCKET``: forks a coder for each message on the socket, and ends with it.

The program has imported all that coders need, so that one starts in milliseconds and shares that memory. It has no
thread, which a fork would lose. A message brings a coder's end of its socket, and its slab. Coders end with this
program, which ends when the device's process closes its end of ``SOCKET`` or dies.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path

import cv2

from cleanplate.base.processes import end_with
from model.errors import ModelError
from model.imaging.memory import bounded
from workers.device.coders.wire import PACKET_BYTES, Slab, read, written
from workers.device.coders.work import WORK, rehearse

#: Where a question may end in its slab: memory is the bound, since the device's process is trusted.
_MOST = 1 << 40
#: Where memory is short, the kernel ends coders before the device's process (0) and the ledger.
_EXPENDABLE = "500"


def main(fd: int) -> None:
    """Fork coders until the other end of ``fd`` is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The kernel reaps coders: the device's process holds them by descriptors, and hears of a death by its socket.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # OpenCV's own threads would not outlive a fork.
    cv2.setNumThreads(1)
    rehearse()
    with socket.socket(fileno=fd) as orders:
        own_pid = os.getpid()
        while True:
            message, (*fds,), _, _ = socket.recv_fds(orders, 1, 2)
            if not message:
                return
            if os.fork() == 0:
                orders.close()
                _become_coder(own_pid, *fds)
            for received in fds:
                os.close(received)


def _become_coder(server: int, fd: int, slab_fd: int) -> None:
    """Answer questions until the other end is closed; does not return."""
    status = 1
    try:
        end_with(server, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_EXPENDABLE)
        with socket.socket(fileno=fd) as connection:
            socket.send_fds(connection, [str(os.getpid()).encode()], [os.pidfd_open(os.getpid())])
            _answer_all(connection, Slab(slab_fd))
        status = 0
    except (BrokenPipeError, ConnectionResetError):
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _answer_all(connection: socket.socket, slab: Slab) -> None:
    while packet := connection.recv(PACKET_BYTES):
        question, end = read(slab, packet, most=_MOST, copied=False)
        answer, _ = written(slab, _answer(*question), end)
        del question
        connection.send(answer)


def _answer(name: str, nbytes: int, given: tuple[object, ...], named: dict[str, object]) -> tuple[object, ...]:
    """``("value", …)``; ``("error", class, sentence, attributes)``; ``("fault", traceback)`` for an unforeseen one."""
    try:
        with bounded(nbytes):
            return "value", WORK[name](*given, **named)
    except ModelError as error:
        return "error", type(error), str(error), vars(error)
    except Exception:
        return "fault", traceback.format_exc()


if __name__ == "__main__":
    main(int(sys.argv[1]))
