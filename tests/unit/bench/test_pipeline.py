"""The bench of the pipeline: its formula, and that it ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from bench.corpus.content import file_of
from bench.pipeline import KINDS, Figures, Trial, corner, mask_of, measure

FED = Figures(
    kind="a", pictures=100, state="succeeded", seconds={}, device_idle=0.5, tiles_per_pass=1.0,
    pictures_per_second=20.0, peak_mb=1.0, base_mb=1.0, device_rate=500.0, launch_ms=1.2, cores=1, cpu_ms=50.0,
    cores_had=1.0, tiles_per_picture=1.0,
)  # fmt: skip


def test_a_device_is_idle_for_what_tiles_and_launches_leave() -> None:
    assert FED.expected_idle == pytest.approx(1 - 20 * (0.002 + 0.0012))


@pytest.mark.parametrize("coders", [0, 1])
def test_a_job_ends_when_its_seconds_are_over(coders: int) -> None:
    kind = KINDS[0]
    logo = corner(kind.width, kind.height)
    picture = Image.fromarray(np.full((kind.height, kind.width, 3), 90, np.uint8))
    trial = Trial(6, "fill", 500.0, 1.2, seconds=math.inf, settings={"coders": coders, "shard_size": 2})
    whole = measure(kind, kind.make(picture), mask_of(logo), trial)
    assert (whole.pictures, whole.state, whole.coders) == (6, "succeeded", coders)
    assert whole.cpu_ms > 0
    cut = measure(kind, file_of(picture, "JPEG"), mask_of(logo), Trial(6, "fill", 500.0, 1.2, seconds=0))
    assert cut.pictures == 0
