"""How the client follows a job: server-sent events taken up again where they broke off, and long polls.

A service that is away for a while (it is renewed, or its machine dies) is waited for; what was missed is in the next
answer, because each brings the whole state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx

from cleanplate.client.retries import passes_by_itself
from cleanplate.errors import Refused, ServiceUnreachable

#: Longest silence of a stream that lives, in seconds: it says something every 15.
SILENCE_S = 45.0
#: Seconds between two tries to take up a stream.
AGAIN_S = 1.0


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    kind: str
    number: str
    data: str


def parse(lines: Iterator[str]) -> Iterator[Event]:
    """The events of a stream's lines (WHATWG HTML, section 9.2); comments and unknown fields are passed over."""
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
    """How long a service that does not answer is waited for, in seconds since it last did."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _heard_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.heard()

    def heard(self) -> None:
        """The service has answered."""
        self._heard_at = self.clock()

    def bear(self, error: Exception) -> None:
        """Raises ``error`` where waiting does not help, or has lasted too long."""
        passing = isinstance(error, ServiceUnreachable) or passes_by_itself(error)
        if not passing or self.clock() - self._heard_at > self.seconds:
            raise error


def follow(client: httpx.Client, url: str, *, patience: Patience, sleep: Callable[[float], None]) -> Iterator[Event]:
    """The events of a stream until it is told that there are no more, taken up again whenever it breaks off.

    Raises:
        Refused: the service said no.
        ServiceUnreachable: it did not answer for longer than ``patience``.
    """
    last: str | None = None
    while True:
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": last})
        try:
            with client.stream("GET", url, headers=headers, timeout=httpx.Timeout(SILENCE_S, connect=10.0)) as answer:
                if answer.status_code == httpx.codes.NO_CONTENT:
                    return
                if not answer.is_success:
                    answer.read()
                    raise refusal(answer)
                patience.heard()
                for event in parse(answer.iter_lines()):
                    patience.heard()
                    last = event.number or last
                    yield event
        except Refused as error:
            patience.bear(error)
            sleep(error.retry_after_s or AGAIN_S)
        except httpx.TransportError as error:
            patience.bear(ServiceUnreachable(url, str(error) or type(error).__name__))
            sleep(AGAIN_S)


def refusal(answer: httpx.Response) -> Refused:
    """The API's error body (problem+json) as an exception."""
    problem: object = {}
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        problem = answer.json()
    said = problem if isinstance(problem, dict) else {}
    detail = said.get("detail") or said.get("title") or f"The service answered {answer.status_code}."
    return Refused(answer.status_code, said.get("code", f"http_{answer.status_code}"), detail, retry_after(answer))


def store_refusal(answer: httpx.Response, name: str) -> Refused:
    """What the object store said of one file; never with the signed link."""
    detail = f"The object store answered {answer.status_code} for {name}."
    return Refused(answer.status_code, "transfer_refused", detail, retry_after(answer))


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds that the answer asks to wait; ``None`` when it does not say, or says a date."""
    value = answer.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
