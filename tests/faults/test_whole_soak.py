"""Random kills of API, dispatcher, supervisor and child, with the real network. The long form: ``whole_soak``."""

from __future__ import annotations

import pytest

from cleanplate.base.settings import Settings
from tests.faults.whole_soak import settings_for, whole_soak


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_random_kills_of_the_whole_service_lose_no_image(server_settings: Settings) -> None:
    report = whole_soak(settings_for(server_settings), seed=5, count=40, kills=12)
    assert report.good, "\n".join(report.lines())
