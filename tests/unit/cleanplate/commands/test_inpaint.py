"""``cleanplate inpaint``: one picture without a service, in its own format, changed under the mask alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tests.running import REPOSITORY, cleanplate
from tests.texts import laid, letters, printed

SAMPLE = sorted((REPOSITORY / "samples" / "marked").iterdir())[0]
MASK = REPOSITORY / "samples" / "masks" / SAMPLE.name


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"CLEANPLATE_HOME": str(tmp_path / "home"), "CLEANPLATE_DEVICE": "cpu"}


def refusal(*arguments: object, settings: dict[str, str]) -> str:
    ended = cleanplate("inpaint", *(str(argument) for argument in arguments), settings=settings)
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    return line


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def format_of(path: Path) -> str | None:
    with Image.open(path) as picture:
        return picture.format


def test_a_picture_is_cleaned_under_its_mask_and_nowhere_else(tmp_path: Path, home: dict[str, str]) -> None:
    out = tmp_path / "clean.png"
    ended = cleanplate("inpaint", str(SAMPLE), str(MASK), "-o", str(out), settings=home)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert re.fullmatch(r"(.*: recovered \d+%, invented \d+% of the mask's area\.\n)?", ended.stderr), ended.stderr
    painted = pixels(MASK)[..., 0] > 127
    near = np.asarray(Image.fromarray(painted).convert("L").filter(ImageFilter.MaxFilter(15))) > 0
    changed = (pixels(SAMPLE) != pixels(out)).any(axis=2)
    assert changed[painted].mean() > 0.5
    assert not changed[~near].any()
    assert not Path(home["CLEANPLATE_HOME"]).exists()


def test_the_format_is_the_pictures_own(tmp_path: Path, home: dict[str, str]) -> None:
    photo = tmp_path / "photo.jpg"
    Image.fromarray(pixels(SAMPLE)).save(photo, quality=90)
    assert "must end in .jpg" in refusal(photo, MASK, "-o", tmp_path / "clean.png", settings=home)
    out = tmp_path / "clean.JPEG"
    assert cleanplate("inpaint", str(photo), str(MASK), "-o", str(out), settings=home).returncode == 0
    assert format_of(out) == "JPEG"


def test_a_file_whose_name_lies_is_named_rightly_or_converted(tmp_path: Path, home: dict[str, str]) -> None:
    photo, out = tmp_path / "photo.jpg", tmp_path / "clean.jpg"
    Image.fromarray(pixels(SAMPLE)).save(photo, "WEBP", lossless=True)
    line = refusal(photo, MASK, "-o", out, settings=home)
    assert "photo.jpg is a WEBP file" in line
    assert "must end in .webp" in line
    assert "--output jpeg" in line
    assert "must end in .jpg" in refusal(photo, MASK, "-o", tmp_path / "x.webp", "--output", "jpeg", settings=home)
    ended = cleanplate("inpaint", str(photo), str(MASK), "-o", str(out), "--output", "jpeg", settings=home)
    assert ended.returncode == 0, ended.stderr
    assert format_of(out) == "JPEG"


def test_what_is_left_out_is_printed(tmp_path: Path, home: dict[str, str]) -> None:
    photo, out = tmp_path / "photo.jpg", tmp_path / "clean.jpg"
    picture = Image.fromarray(pixels(SAMPLE))
    picture.save(photo, "MPO", save_all=True, append_images=[picture])
    ended = cleanplate("inpaint", str(photo), str(MASK), "-o", str(out), settings=home)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "further pictures" in ended.stderr


def test_existing_files_are_overwritten_only_on_request(tmp_path: Path, home: dict[str, str]) -> None:
    out = tmp_path / "clean.png"
    out.write_bytes(b"mine")
    assert "--force" in refusal(SAMPLE, MASK, "-o", out, settings=home)
    assert out.read_bytes() == b"mine"
    assert cleanplate("inpaint", str(SAMPLE), str(MASK), "-o", str(out), "--force", settings=home).returncode == 0
    assert format_of(out) == "PNG"


def test_errors_are_one_line_and_leave_no_file(tmp_path: Path, home: dict[str, str]) -> None:
    out = tmp_path / "clean.png"
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (8, 8), 255).save(tmp_path / "small.png")
    for arguments, words in (
        ((tmp_path / "absent.png", MASK, "-o", out), "absent.png cannot be read"),
        ((SAMPLE, tmp_path, "-o", out), "cannot be read"),
        ((tmp_path / "text.png", MASK, "-o", out), ""),
        ((SAMPLE, tmp_path / "small.png", "-o", out), ""),
        ((SAMPLE, MASK, "-o", tmp_path / "absent" / "clean.png"), "no folder"),
        ((SAMPLE, MASK, "-o", tmp_path), "exists"),
        ((SAMPLE, MASK, "-o", out, "--weights", "big-lama"), "cleanplate weights pull big-lama"),
        ((SAMPLE, MASK, "-o", out, "--weights", tmp_path / "text.png"), "not a safetensors file"),
    ):
        assert words in refusal(*arguments, settings=home)
        assert not out.exists()


def test_a_picture_beyond_the_limits_is_refused(tmp_path: Path, home: dict[str, str]) -> None:
    tight = home | {"CLEANPLATE_MAX_IMAGE_BYTES": "1000"}
    refusal(SAMPLE, MASK, "-o", tmp_path / "clean.png", settings=tight)


def test_text_is_found_by_what_it_says_and_a_picture_without_it_stays(tmp_path: Path, home: dict[str, str]) -> None:
    marked, ink = laid(printed(), letters("Doe Shirts"), (0.7, 0.85))
    Image.fromarray(marked).save(tmp_path / "photo.png")
    out, other = tmp_path / "clean.png", tmp_path / "other.png"
    words = [str(tmp_path / "photo.png"), "-o"]
    ended = cleanplate("inpaint", *words, str(out), "--text", "doe shirts", settings=home)
    # The mark is translucent: one of its words is told well enough to be taken off.
    assert (ended.returncode, ": recovered " in ended.stderr) == (0, True), ended.stderr
    assert ended.stderr.count("\n") == 1
    assert (pixels(out) != marked).any(axis=2)[ink].mean() > 0.9
    assert np.array_equal(pixels(out)[:200], marked[:200])
    ended = cleanplate("inpaint", *words, str(other), "--text", "Roe & Sons", settings=home)
    assert (ended.returncode, "no such text" in ended.stdout) == (0, True)
    assert other.read_bytes() == (tmp_path / "photo.png").read_bytes()
    assert "either a mask, or --text" in refusal(tmp_path / "photo.png", "-o", tmp_path / "x.png", settings=home)


def test_masks_are_read_as_asked(tmp_path: Path, home: dict[str, str]) -> None:
    painted = pixels(MASK)[..., 0] > 127
    Image.fromarray(np.where(painted, np.uint8(0), np.uint8(1))).save(tmp_path / "labels.png")
    plain, asked = tmp_path / "plain.png", tmp_path / "asked.png"
    line = refusal(SAMPLE, tmp_path / "labels.png", "-o", asked, settings=home)
    assert "mask_threshold" in line
    line = refusal(SAMPLE, tmp_path / "labels.png", "-o", asked, "--mask-threshold", 1, settings=home)
    assert "mask_inverted" in line
    options = ["--mask-threshold", "1", "--mask-inverted"]
    arguments = [str(SAMPLE), str(tmp_path / "labels.png"), "-o", str(asked), *options]
    assert cleanplate("inpaint", *arguments, settings=home).returncode == 0
    assert cleanplate("inpaint", str(SAMPLE), str(MASK), "-o", str(plain), settings=home).returncode == 0
    assert np.array_equal(pixels(asked), pixels(plain))
