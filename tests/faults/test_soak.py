"""Random kills with null workers lose no image and count none twice. The long form is ``make soak``."""

from __future__ import annotations

import pytest

from cleanplate.base.settings import Settings
from tests.faults.soak import Report, soak


def hasty(settings: Settings) -> Settings:
    changes = {"blobs_url": "", "lease_s": 2.0, "heartbeat_s": 0.3, "publish_timeout_s": 3.0, "max_attempts": 100}
    return settings.model_copy(update=changes)


def assert_balanced(report: Report) -> None:
    assert (report.lost, report.twice, report.imbalances) == (0, 0, []), "\n".join(report.lines())


def test_random_kills_lose_no_image(server_settings: Settings) -> None:
    assert_balanced(soak(hasty(server_settings), seed=11, count=300, kills=8))


def test_random_kills_of_coders_lose_no_image(server_settings: Settings) -> None:
    settings = hasty(server_settings).model_copy(update={"coders": 1})
    report = soak(settings, seed=13, count=200, kills=16)
    assert_balanced(report)
    assert report.troubles["coder"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_hundreds_of_random_kills_lose_no_image(server_settings: Settings) -> None:
    report = soak(hasty(server_settings), seed=12, count=5000, kills=200)
    assert_balanced(report)
    assert report.troubles.total() >= 200
    assert report.recoveries_s
