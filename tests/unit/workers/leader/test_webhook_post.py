"""Posts to a real server on loopback, and to addresses that must never be posted to."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.addresses import OF_OTHER_PORTS, OUTSIDE_A_FOLDER, REFUSED_BY_THEIR_TEXT
from tests.unit.workers.device.images.test_fetching import connections
from tests.webhook_receiver import Receiver, Reply, receiver_running
from workers.leader.webhook_post import ANSWER_BYTES, EXCERPT_CHARACTERS, Answer, post, retry_after


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiver_running() as running:
        yield running


def send(url: str, *, allow_private: bool = True, timeout_s: float = 10) -> Answer:
    return post(url, b'{"a":1}', {"webhook-id": "whd_1"}, timeout_s=timeout_s, allow_private=allow_private)


def test_body_and_headers_arrive_and_the_status_comes_back(receiver: Receiver) -> None:
    receiver.replies = [Reply(202, body=b"thank you")]
    answer = send(receiver.url)
    assert (answer.status, answer.error, answer.excerpt) == (202, None, "thank you")
    [received] = receiver.received
    assert received.body == b'{"a":1}'
    assert received.headers["webhook-id"] == "whd_1"
    assert received.headers["user-agent"] == "Cleanplate-Webhooks/1"


def test_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.replies = [Reply(307, headers={"location": receiver.url + "/elsewhere"})]
    assert send(receiver.url).status == 307
    assert [received.path for received in receiver.received] == ["/hooks"]


def test_only_the_beginning_of_an_answer_is_kept(receiver: Receiver) -> None:
    receiver.replies = [Reply(500, body=b"x" * (ANSWER_BYTES * 100))]
    assert send(receiver.url).excerpt == "x" * EXCERPT_CHARACTERS


def test_compressed_answer_is_not_unfolded(receiver: Receiver) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    receiver.replies = [Reply(200, headers={"content-encoding": "gzip"}, body=bomb)]
    answer = send(receiver.url)
    assert answer.status == 200
    assert answer.excerpt is not None
    assert "\0" not in answer.excerpt


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"), (b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n", b"x")],
    ids=["headers", "body"],
)
def test_receiver_that_drips_its_answer_is_cut_off(receiver: Receiver, beginning: bytes, piece: bytes) -> None:
    cut_off = threading.Event()

    def drip(write: Callable[[bytes], object]) -> None:
        write(beginning)
        try:
            while not cut_off.wait(0.05):
                write(piece)
        except OSError:
            cut_off.set()

    receiver.replies = [Reply(write=drip)]
    # The status has arrived in time, and it is what counts.
    assert send(receiver.url, timeout_s=0.5).status == 200
    assert cut_off.wait(30), "the connection was left open"


def test_silent_receiver_is_given_up(receiver: Receiver) -> None:
    given_up = threading.Event()

    def stay_silent(_: Callable[[bytes], object]) -> None:
        given_up.wait(30)

    receiver.replies = [Reply(write=stay_silent)]
    answer = send(receiver.url, timeout_s=0.3)
    given_up.set()
    assert answer.status is None
    assert answer.error is not None


def test_closed_port_is_an_error_without_the_url() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        answer = send(f"http://127.0.0.1:{unused.getsockname()[1]}/secret-path")
    assert answer.status is None
    assert answer.error == "unreachable: ConnectionError"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.100.100.200",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "168.63.129.16",
        "[fe80::1]",
        "[fec0::1]",
        "[fd00:ec2::254]",
        "224.0.0.1",
        "[ff02::1]",
        "255.255.255.255",
    ],
)
def test_address_that_is_not_public_is_refused(host: str) -> None:
    answer = send(f"https://{host}/hooks", allow_private=False)
    assert answer.status is None
    assert answer.error == "address_refused: The address is in a private network."


def test_no_address_of_the_corpus_is_connected_to_although_every_name_leads_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_up = socket.getaddrinfo

    def inside(host: str, *given: Any, **named: Any) -> Any:
        try:
            return look_up(host, *given, **named | {"flags": socket.AI_NUMERICHOST})
        except OSError:  # a name
            return look_up("127.0.0.1", *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", inside)
    with connections() as connected:
        for url in [*REFUSED_BY_THEIR_TEXT, *OF_OTHER_PORTS, *OUTSIDE_A_FOLDER]:
            assert send(url, allow_private=False, timeout_s=2).status is None, url
    assert connected == []


def test_plain_http_is_refused() -> None:
    assert send("http://example.com/", allow_private=False).error == (
        "address_refused: Webhooks are posted over https only."
    )


def test_name_is_looked_up_once_and_the_checked_address_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to a public address at the check and to loopback afterwards gets nowhere."""
    looked_up = []

    def rebinding(host: str, port: int, *_: object, **__: object) -> list[object]:
        looked_up.append(host)
        public = len(looked_up) == 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8" if public else "127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    send("https://receiver.example/hooks", allow_private=False, timeout_s=2)
    assert looked_up == ["receiver.example", "8.8.8.8"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120),
        ("-5", 0),
        ("9" * 300, 1e9),
        ("Sun, 22 Nov 2026 12:01:00 GMT", 60),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, datetime(2026, 11, 22, 12, tzinfo=UTC)) == seconds
