"""Pictures by address: fetched from a real server on loopback where that is allowed, and never from anywhere else."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cleanplate.base.masks import BoxesMask, Placement
from cleanplate.base.settings import Settings
from storage.blobs import open_blobs
from storage.errors import BlobTooLarge
from storage.records import LeasedImage
from tests.addresses import OF_OTHER_PORTS, REFUSED_BY_THEIR_TEXT
from tests.webhook_receiver import Receiver, Reply
from workers.device.images.fetching import Fetcher, boxes_file, fetch
from workers.device.images.outcomes import failure
from workers.errors import SourceRefused, SourceUnavailable, UrlNotAllowed


def leased(url: str | None) -> LeasedImage:
    return LeasedImage(
        id="img_1",
        job_id="job_1",
        tenant_id="tnt_1",
        name="a.jpg",
        source_key="",
        source_url=url,
        mask_key="",
        mask_document=None,
        placement=Placement(),
        job_options={},
        attempt=1,
    )


@pytest.fixture
def open_settings(embedded_settings: Settings) -> Settings:
    """Settings of a service that may fetch from loopback."""
    return embedded_settings.model_copy(
        update={"source_allow_private": True, "max_image_bytes": 1000, "source_timeout_s": 5.0}
    )


_watched: list[list[Any]] = []


def _on_event(name: str, arguments: tuple[Any, ...]) -> None:
    if name == "socket.connect":
        for seen in _watched:
            seen.append(arguments[1])
        if _watched and arguments[1][0] != "127.0.0.1":
            raise ConnectionRefusedError("the test asks nobody outside")


@contextmanager
def connections() -> Iterator[list[Any]]:
    """Every address that this process connects a socket to while the block runs."""
    if not hasattr(_on_event, "installed"):
        sys.addaudithook(_on_event)  # for the rest of the process: it cannot be taken out again
        _on_event.installed = True  # type: ignore[attr-defined]
    seen: list[Any] = []
    _watched.append(seen)
    try:
        yield seen
    finally:
        _watched.remove(seen)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket on loopback that would take a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def assert_untouched(listener: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        listener.accept()


def answering(addresses: list[str]) -> Callable[..., list[Any]]:
    """A name server's answers, one after the other, the last for ever."""

    def look_up(_host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    return look_up


def test_every_address_of_the_corpus_is_refused_and_none_connected_to(
    embedded_settings: Settings, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    settings = embedded_settings.model_copy(update={"source_ports": (443, port), "source_timeout_s": 2.0})
    fetcher = Fetcher(settings, open_blobs(settings))
    spellings = [
        *REFUSED_BY_THEIR_TEXT,
        *OF_OTHER_PORTS,
        *(f"https://{host}:{port}/a.jpg" for host in ("127.0.0.1", "2130706433", "0x7f.1", "0177.1")),
        *(f"https://{host}:{port}/a.jpg" for host in ("localhost", "[::1]", "[::ffff:127.0.0.1]")),
        *(f"https://{host}:{port}/a.jpg" for host in ("[::127.0.0.1]", "[64:ff9b::7f00:1]")),
    ]  # fmt: skip
    with connections() as connected:
        for url in spellings:
            with pytest.raises(UrlNotAllowed):
                fetcher.source(leased(url))
    assert connected == []
    assert_untouched(listener)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "168.63.129.16", "0.0.0.0", "224.0.0.1"),
        *("::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1", "fd00::1", "::127.0.0.1"),
    ],
)
def test_a_public_name_that_leads_into_a_private_network_is_not_connected_to(
    embedded_settings: Settings, listener: socket.socket, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    port = listener.getsockname()[1]
    settings = embedded_settings.model_copy(update={"source_ports": (port,)})
    fetcher = Fetcher(settings, open_blobs(settings))
    monkeypatch.setattr(socket, "getaddrinfo", answering([address]))
    with connections() as connected, pytest.raises(UrlNotAllowed, match="private"):
        fetcher.source(leased(f"https://pictures.example:{port}/a.jpg"))
    assert connected == []
    assert_untouched(listener)


def test_a_name_that_is_answered_differently_the_second_time_does_not_reach_loopback(
    embedded_settings: Settings, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listener.getsockname()[1]
    settings = embedded_settings.model_copy(update={"source_ports": (port,), "source_timeout_s": 0.5})
    fetcher = Fetcher(settings, open_blobs(settings))
    asked: list[str] = []
    public_then_loopback = answering(["203.0.114.7", "127.0.0.1"])

    def look_up(host: str, *given: Any, **named: Any) -> list[Any]:
        if host.replace(".", "").isdigit():
            return answering([host])(host, *given, **named)
        asked.append(host)
        return public_then_loopback(host, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with connections() as connected, pytest.raises(SourceUnavailable):
        fetcher.source(leased(f"https://pictures.example:{port}/a.jpg"))
    assert asked == ["pictures.example"]
    assert {address[0] for address in connected} <= {"203.0.114.7"}
    assert_untouched(listener)


def test_a_picture_comes_from_its_address(open_settings: Settings, receiver: Receiver) -> None:
    receiver.replies = [Reply(200, body=b"picture")]
    assert fetch(receiver.url, open_settings) == b"picture"
    [request] = receiver.received
    assert request.headers["user-agent"] == "Cleanplate-Fetcher/1"
    assert request.headers["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "referer"} & set(request.headers)


def test_a_redirect_is_refused_and_not_followed(open_settings: Settings, receiver: Receiver) -> None:
    for status in (301, 302, 303, 307, 308):
        receiver.received.clear()
        receiver.replies = [Reply(status, headers={"location": receiver.url + "/elsewhere"})]
        with pytest.raises(UrlNotAllowed, match=str(status)):
            fetch(receiver.url, open_settings)
        assert [request.path for request in receiver.received] == ["/hooks"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *[(status, SourceRefused) for status in (204, 206, 400, 401, 403, 404, 410)],
        *[(status, SourceUnavailable) for status in (408, 425, 429, 500, 502, 503)],
    ],
)
def test_the_servers_no_is_told_from_its_later(
    open_settings: Settings, receiver: Receiver, status: int, error: type[Exception]
) -> None:
    receiver.replies = [Reply(status)]
    with pytest.raises(error, match=str(status)) as raised:
        fetch(receiver.url, open_settings)
    outcome = failure(leased(receiver.url), raised.value, {})
    assert outcome.retry == (error is SourceUnavailable)
    assert receiver.url not in str(outcome.error_detail)


def test_more_bytes_than_allowed_are_not_read(open_settings: Settings, receiver: Receiver) -> None:
    receiver.replies = [Reply(200, body=b"x" * 1001)]
    with pytest.raises(BlobTooLarge):
        fetch(receiver.url, open_settings)

    def endless(write: Callable[[bytes], object]) -> None:
        write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            write(b"x" * 65536)

    receiver.replies = [Reply(write=endless)]
    with pytest.raises(BlobTooLarge):
        fetch(receiver.url, open_settings.model_copy(update={"max_image_bytes": 100_000}))


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"])
def test_an_answer_that_breaks_off_is_tried_again(open_settings: Settings, receiver: Receiver, sent: bytes) -> None:
    receiver.replies = [Reply(write=lambda write: write(sent))]
    with pytest.raises(SourceUnavailable):
        fetch(receiver.url, open_settings)


@pytest.mark.parametrize("length", [b"content-length: 900\r\n", b""])
def test_a_server_that_drips_is_cut_off(open_settings: Settings, receiver: Receiver, length: bytes) -> None:
    cut_off = threading.Event()

    def drip(write: Callable[[bytes], object]) -> None:
        write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
        try:
            while not cut_off.wait(0.05):
                write(b"x")
        except OSError:
            cut_off.set()

    receiver.replies = [Reply(write=drip)]
    with pytest.raises(SourceUnavailable):
        fetch(receiver.url, open_settings.model_copy(update={"source_timeout_s": 0.4}))
    assert cut_off.wait(30), "the connection was left open"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\nhalf"])
def test_a_server_that_stalls_is_left_and_asked_again_later(
    open_settings: Settings, receiver: Receiver, sent: bytes
) -> None:
    over = threading.Event()

    def stall(write: Callable[[bytes], object]) -> None:
        write(sent)
        over.wait(30)

    receiver.replies = [Reply(write=stall)]
    try:
        with pytest.raises(SourceUnavailable) as raised:
            fetch(receiver.url, open_settings.model_copy(update={"source_timeout_s": 0.4}))
    finally:
        over.set()
    assert failure(leased(receiver.url), raised.value, {}).retry


def test_a_compressed_body_is_refused(open_settings: Settings, receiver: Receiver) -> None:
    receiver.replies = [Reply(200, headers={"content-encoding": "gzip"}, body=b"x")]
    with pytest.raises(SourceRefused):
        fetch(receiver.url, open_settings)


def test_a_closed_port_is_tried_again(open_settings: Settings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(SourceUnavailable):
            fetch(f"http://127.0.0.1:{unused.getsockname()[1]}/", open_settings)


def test_boxes_are_the_file_of_a_mask() -> None:
    mask = BoxesMask(boxes=[(1, 2, 3, 4)], size=(9, 9), anchor="top")
    assert json.loads(boxes_file(mask)) == {"size": [9, 9], "boxes": [[1, 2, 3, 4]]}
