"""Follows a job by server-sent events, which are resumed after an interruption.

The client waits for a service that is down for a while (an update, a dead machine). It misses nothing: each answer
brings the whole state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx

from cleanplate.client.calls import Calls
from cleanplate.client.refusals import refusal
from cleanplate.client.retries import is_transient
from cleanplate.errors import Refused, ServiceUnreachable

#: Longest silence of a live stream, in seconds: the service sends a comment every 15.
SILENCE_S = 45.0
#: Seconds between two attempts to resume a stream.
RESUME_S = 1.0


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    kind: str
    number: str
    data: str


def parse(lines: Iterator[str]) -> Iterator[Event]:
    """The events of a stream's lines (WHATWG HTML, section 9.2); comments and unknown fields are ignored."""
    kind, number, data = "message", "", list[str]()
    for line in lines:
        if not line:
            if data:
                yield Event(kind, number, "\n".join(data))
            kind, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "id":
            number = value
        elif name == "data":
            data.append(value)


@dataclass
class Patience:
    """How long the client waits for a service that does not answer, in seconds since its last answer."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _answered_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Note that the service has answered."""
        self._answered_at = self.clock()

    def bear(self, error: Exception) -> None:
        """Raise ``error`` if it is not transient, or if the service has been silent for too long."""
        transient = isinstance(error, ServiceUnreachable) or is_transient(error)
        if not transient or self.clock() - self._answered_at > self.seconds:
            raise error


def follow(calls: Calls, path: str, *, patience: Patience) -> Iterator[Event]:
    """The events of a stream until the service ends it with 204; a stream that breaks off is resumed.

    Raises:
        Refused: the service refused.
        ServiceUnreachable: it did not answer for longer than ``patience``.
    """
    last_id: str | None = None
    while True:
        headers = {"Accept": "text/event-stream"} | ({} if last_id is None else {"Last-Event-ID": last_id})
        try:
            with calls.stream(path, headers=headers, timeout=httpx.Timeout(SILENCE_S, connect=10.0)) as response:
                if response.status_code == httpx.codes.NO_CONTENT:
                    return
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                patience.renew()
                for event in parse(response.iter_lines()):
                    patience.renew()
                    last_id = event.number or last_id
                    yield event
        except Refused as error:
            patience.bear(error)
            calls.retries.sleep(error.retry_after_s or RESUME_S)
        except httpx.TransportError as error:
            patience.bear(calls.unreachable(error))
            calls.retries.sleep(RESUME_S)
