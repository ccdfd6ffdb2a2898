"""The bench of strangers' files tells right results, refusals and errors apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import strangers
from bench.corpus.content import file_of
from bench.strangers import Outcome, outcome, report
from model.repair.task import read


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8))


def of(folder: Path, data: bytes, name: str = "picture.png") -> Outcome:
    path = folder / name
    path.write_bytes(data)
    return outcome(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_good_file_comes_back_right(tmp_path: Path, kind: str) -> None:
    end = of(tmp_path, file_of(picture(), kind))
    assert (end.kind, end.format, end.reason) == ("right", kind, "")


def test_a_file_that_no_program_opens_is_refused_rightly(tmp_path: Path) -> None:
    good = file_of(picture(), "PNG")
    for data in (b"no picture", good[: len(good) // 2]):
        assert of(tmp_path, data).kind == "refused rightly"


def test_a_file_that_pillow_opens_is_refused_wrongly(tmp_path: Path) -> None:
    end = of(tmp_path, file_of(picture(), "AVIF", save_all=True, append_images=[picture()]), "sequence.avif")
    assert end.kind == "refused wrongly"
    assert end.reason.startswith("image_")


def test_a_changed_pixel_is_found() -> None:
    source, other = file_of(picture(), "PNG"), picture()
    other.putpixel((1, 1), (0, 0, 0))
    task = read(source, b'{"boxes": [[20, 20, 9, 9]]}', limits=strangers.LIMITS)
    assert strangers.faults_of(source, source, task, "lossless") == ([], None)
    assert strangers.faults_of(source, file_of(other, "PNG"), task, "lossless")[0] == ["page 0: 1 pixels changed"]


def test_a_folder_is_worked_through_and_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "good.png").write_bytes(file_of(picture(), "PNG"))
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    (tmp_path / "notes.txt").write_text("no picture")
    ends = strangers.noted([tmp_path], None)
    assert [end.kind for end in ends] == ["right", "refused rightly"]
    report(ends)
    assert "refused wrongly" in capsys.readouterr().out
