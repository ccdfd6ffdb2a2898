"""``cleanplate template``: a folder to a template, and a template over a folder, without a service."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.marks import Scene, text
from cleanplate.local import marks
from cleanplate.local.contact_sheet import CELL, GAP, LABEL
from model.imaging import Limits
from model.watermark.template import Quality, Rule, Template
from tests.running import cleanplate
from tests.unit.model.watermark.scenes import jpeg, marked, texture
from tests.unit.workers.device.images.test_residual_marks import OPACITY, TALL, WIDE, along_an_edge

SCENE = Scene(text(110, "SHOP"), 0.4, (1, 1), margin=8, sizes=((200, 150),))


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"CLEANPLATE_HOME": str(tmp_path / "home"), "CLEANPLATE_DEVICE": "cpu"}


def test_a_folder_gives_a_template_and_the_template_cleans_the_folder(tmp_path: Path, home: dict[str, str]) -> None:
    rng, folder = np.random.default_rng(0), tmp_path / "catalogue"
    folder.mkdir()
    for number in range(24):
        (folder / f"{number}.jpg").write_bytes(jpeg(marked(SCENE, rng)[0]))
    without = jpeg(texture(rng, 150, 200))
    (folder / "without.jpg").write_bytes(without)
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not looked at")
    (folder / "spring.jp2").write_bytes(b"JPEG 2000, which nothing here decodes")
    (folder / "5.jpg").rename(folder / "5.jfif")
    file, out = tmp_path / "mark.template", tmp_path / "clean"

    ended = cleanplate("template", "estimate", str(folder), "-o", str(file), settings=home)
    assert ended.returncode == 0, ended.stderr
    assert "opacity 0.4" in ended.stdout and "broken.jpg" in ended.stderr
    assert "Left out, not pictures by their name: notes.txt, spring.jp2" in ended.stderr
    with Image.open(file.with_suffix(".png")) as sheet:
        assert sheet.width > 1000
    again = cleanplate("template", "estimate", str(folder), "-o", str(file), settings=home)
    assert again.returncode == 2 and "--force" in again.stderr

    command = ("template", "apply", str(file), str(folder), "-o", str(out), "--no-network")
    ended = cleanplate(*command, settings=home)
    assert ended.returncode == 1 and "24 cleaned, 1 failed, 1 skipped" in ended.stdout
    assert "image_unreadable" in ended.stderr
    assert "Left out, not pictures by their name: notes.txt, spring.jp2" in ended.stderr
    assert (out / "without.jpg").read_bytes() == without
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["5.jfif", *(f"{n}.jpg" for n in range(24) if n != 5), "without.jpg"]
    )

    (out / "3.jpg").unlink()
    ended = cleanplate(*command, settings=home)
    assert "1 cleaned, 1 failed, 24 there" in ended.stdout


def test_errors_are_one_line(tmp_path: Path, home: dict[str, str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "not.template").write_bytes(b"nothing")
    for arguments, said in (
        (("estimate", tmp_path / "absent", "-o", tmp_path / "m.template"), "no folder"),
        (("estimate", tmp_path / "empty", "-o", tmp_path / "m.template"), "no pictures"),
        (("apply", tmp_path / "not.template", tmp_path / "empty", "-o", tmp_path / "out"), "not a template"),
        (("apply", tmp_path / "not.template", "-o", tmp_path / "out"), "Name a template and a folder"),
    ):
        ended = cleanplate("template", *(str(part) for part in arguments), settings=home)
        (line,) = ended.stderr.splitlines()
        assert ended.returncode == 2 and said in line


def test_too_few_pictures_are_refused_with_a_number_and_forced_with_a_warning(
    tmp_path: Path, home: dict[str, str]
) -> None:
    rng, folder, file = np.random.default_rng(8), tmp_path / "few", tmp_path / "mark.template"
    folder.mkdir()
    for number in range(7):
        (folder / f"{number}.jpg").write_bytes(jpeg(marked(SCENE, rng)[0]))
    command = ("template", "estimate", str(folder), "-o", str(file))
    ended = cleanplate(*command, settings=home)
    (line,) = ended.stderr.strip().splitlines()[-1:]
    assert ended.returncode == 2 and "more pictures like these are needed" in line
    assert not file.exists()
    ended = cleanplate(*command, "--force", settings=home)
    assert (ended.returncode, "warning: Only 7 of 7 pictures" in ended.stderr) == (0, True), ended.stderr
    assert marks.load(file).quality.samples == 7


def test_two_marks_of_a_folder_become_two_templates_that_are_applied_together(
    tmp_path: Path, home: dict[str, str]
) -> None:
    rng, folder, file, out = np.random.default_rng(6), tmp_path / "in", tmp_path / "m.template", tmp_path / "out"
    folder.mkdir()
    other = Scene(text(100, "DEMO"), 0.5, (0, 0), margin=8, sizes=((200, 150),))
    for number in range(26):
        for name, scene in (("a", SCENE), ("b", other)):
            Image.fromarray(marked(scene, rng)[0]).save(folder / f"{name}{number}.png")
    ended = cleanplate("template", "estimate", str(folder), "-o", str(file), settings=home)
    assert ended.returncode == 0, ended.stderr
    second = tmp_path / "m-2.template"
    places = {marks.load(path).rule.anchor for path in (file, second)}
    assert places == {"bottom-right", "top-left"}
    assert file.with_suffix(".png").exists() and second.with_suffix(".png").exists()
    ended = cleanplate(
        "template", "apply", str(file), str(second), str(folder), "-o", str(out), "--no-network", settings=home
    )
    assert (ended.returncode, ended.stdout.strip().splitlines()[-1]) == (0, "52 cleaned")


def test_the_contact_sheet_shows_mask_opacity_colour_and_twelve_pictures_before_and_after(tmp_path: Path) -> None:
    rng, files, originals = np.random.default_rng(2), [], []
    for number in range(24):
        given, original, _ = marked(SCENE, rng)
        files.append(tmp_path / f"{number:02}.png")
        Image.fromarray(given).save(files[-1])
        originals.append(original)
    limits = Limits(max_bytes=10**8, max_pixels=10**8)
    (template,) = marks.estimate_templates(files, limits, force=False, on_progress=lambda *_: None).templates
    with Image.open(io.BytesIO(marks.template_sheet(template, files, limits))) as opened:
        sheet = np.asarray(opened.convert("RGB"), np.int16)
    # Each picture has the width of a cell.
    step = (sheet.shape[0] - GAP) // 5

    def cell(row: int, column: int) -> NDArray[np.int16]:
        top, left = row * step + LABEL, GAP + column * (CELL + GAP)
        return sheet[top : top + 150, left : left + CELL]

    mask, _, opacity, colour = (cell(0, column) for column in range(4))
    assert (mask == mask[..., :1]).all(axis=2).mean() < 0.9, "no mask is drawn over the mean picture"
    shown = opacity[opacity.min(axis=2) < 250]
    assert np.percentile(shown, 95) == pytest.approx(0.4 * 255, abs=20)
    assert colour.size
    for number in range(12):
        row, column = 1 + 2 * (number // 6), number % 6
        with Image.open(files[number]) as given_file:
            assert np.abs(cell(row, column) - np.asarray(given_file, np.int16)).max() <= 1
        assert np.abs(cell(row + 1, column) - originals[number]).mean() < 1.5


def test_pictures_count_as_their_orientation_shows_them(tmp_path: Path) -> None:
    rng, files = np.random.default_rng(3), []
    turned = Image.Exif()
    turned[0x0112] = 6
    for number in range(24):
        shown = Image.fromarray(marked(SCENE, rng)[0])
        files.append(tmp_path / f"{number}.png")
        if number % 2:
            # As an upright camera writes it: with an orientation of 90 degrees.
            shown.transpose(Image.Transpose.ROTATE_90).save(files[-1], exif=turned)
        else:
            shown.save(files[-1])
    limits = Limits(max_bytes=10**8, max_pixels=10**8)
    (template,) = marks.estimate_templates(files, limits, force=False, on_progress=lambda *_: None).templates
    assert (template.quality.samples, template.rule.sizes) == (24, ((150, 200),))


def test_strict_writes_no_picture_in_which_the_mark_still_shows(tmp_path: Path) -> None:
    bar = np.full((TALL, WIDE), OPACITY, np.float32)
    quality = Quality(0, 0, 0, 0.01, OPACITY, 0, 0, 0, 0, 0)
    rule = Rule("middle-centre", "pixels", -TALL / 2, -WIDE / 2, WIDE)
    template = Template(
        bar, np.full((TALL, WIDE, 3), 255, np.float32), np.full((TALL, WIDE), 255, np.uint8), rule, quality
    )
    file, folder, out = tmp_path / "bar.template", tmp_path / "in", tmp_path / "out"
    file.write_bytes(template.to_bytes())
    folder.mkdir()
    Image.fromarray(along_an_edge()).save(folder / "a.png")
    out.mkdir()
    limits = Limits(max_bytes=10**8, max_pixels=10**8)

    def apply(*, strict: bool) -> marks.Outcome:
        # A fill that leaves the mark as it is.
        outcomes = marks.apply_templates(
            [folder / "a.png"], [marks.load(file)], out, limits, lambda pixels, _: pixels, strict=strict, force=True
        )
        return next(iter(outcomes))

    strictly = apply(strict=True)
    assert (strictly.state, strictly.note.split(":")[0]) == ("failed", "residual_mark")
    assert not (out / "a.png").exists()
    assert apply(strict=False).state == "flagged" and (out / "a.png").exists()
