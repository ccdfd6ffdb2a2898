"""Logs: one line per event, for machines or for people, without secrets from any library."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import structlog

from cleanplate.base.settings import Settings
from cleanplate.telemetry import logs
from cleanplate.telemetry.logs import redact_text
from tests.logging import restored_logging, unchanged_logging

KEY = "cp_" + "Ab9-_" * 8 + "xyz"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"key {KEY}.", "key [redacted]."),
        ("whsec_" + "aB3+" * 10 + "w8=", "[redacted]"),
        ("postgresql://me:pass word@db:5432/x", "postgresql://me:pass word@db:5432/x"),
        ("postgresql://me:password@db:5432/x", "postgresql://[redacted]@db:5432/x"),
        ("redis://:password@cache/0 is gone", "redis://[redacted]@cache/0 is gone"),
        ("https://s3/bucket/key?X-Amz-Signature=1&b=2 failed", "https://s3/bucket/key?[redacted] failed"),
        ("GET /v1/jobs?cursor=abc HTTP/1.1", "GET /v1/jobs?[redacted] HTTP/1.1"),
        ("GET /blobs/eyJ.a-b_c HTTP/1.1", "GET /blobs/[redacted] HTTP/1.1"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("why? because a=b", "why? because a=b"),
        ("image img_019aab5d10447d3fa0c1b2d3e4f5a697 of t/tnt_1/uploads/upl_1", None),
    ],
)
def test_secrets_are_removed_from_texts(text: str, kept: str | None) -> None:
    assert redact_text(text) == (text if kept is None else kept)


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (text,) = capsys.readouterr().err.splitlines()
    found: dict[str, Any] = json.loads(text)
    return found


def test_an_event_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    with restored_logging(Settings()):
        structlog.get_logger("workers.x").info("image.succeeded", image="img_1", seconds=0.5, tiles=(1, 2))
        event = line(capsys)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "image.succeeded",
        "image": "img_1",
        "seconds": 0.5,
        "tiles": [1, 2],
        "level": "info",
        "logger": "workers.x",
    }


def test_values_under_telling_names_are_hidden_however_deep(capsys: pytest.CaptureFixture[str]) -> None:
    with restored_logging(Settings()):
        structlog.get_logger().info("x", lease_token="a", deep=[{"Secret": "b", "list": [f"c {KEY}"]}], api_key="d")
        event = line(capsys)
    assert event["lease_token"] == event["api_key"] == event["deep"][0]["Secret"] == "[redacted]"
    assert event["deep"][0]["list"] == ["c [redacted]"]


def test_lines_of_libraries_are_redacted_too(capsys: pytest.CaptureFixture[str]) -> None:
    with restored_logging(Settings()):
        logging.getLogger("some.library").warning("cannot reach %s", "redis://:password@cache/0")
        assert line(capsys)["event"] == "cannot reach redis://[redacted]@cache/0"


def test_a_traceback_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    with restored_logging(Settings()):
        try:
            raise ValueError(f"wrong key {KEY}")
        except ValueError:
            structlog.get_logger().exception("broke")
        event = line(capsys)
    assert "ValueError: wrong key [redacted]" in event["exception"]
    assert KEY not in str(event)


def test_lines_for_people_hide_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with restored_logging(Settings(log_json=False)):
        structlog.get_logger().warning("cannot reach", url="https://s3/key?X-Amz-Signature=1", token="t0ps3cret")
        text = capsys.readouterr().err
    assert "cannot reach" in text
    assert "Signature" not in text
    assert "t0ps3cret" not in text


def test_the_level_is_the_settings_level(capsys: pytest.CaptureFixture[str]) -> None:
    with restored_logging(Settings(log_level="warning")):
        structlog.get_logger("a").info("quiet")
        logging.getLogger("b").info("quiet")
        structlog.get_logger("a").warning("loud")
        assert line(capsys)["event"] == "loud"


def test_a_second_configuration_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with restored_logging(Settings()), restored_logging(Settings()):
        structlog.get_logger().info("once")
        assert line(capsys)["event"] == "once"


def test_logging_that_a_test_sets_up_ends_with_it() -> None:
    before = logging.getLogger().handlers[:]
    with unchanged_logging():
        logs.configure(Settings())
        assert logging.getLogger().handlers != before
    assert logging.getLogger().handlers == before
