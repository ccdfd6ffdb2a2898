"""``cleanplate template``: a folder to a template, and a template over a folder, without a service."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.marks import Scene, text
from tests.running import cleanplate
from tests.unit.model.watermark.scenes import jpeg, marked, texture

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
    file, out = tmp_path / "mark.template", tmp_path / "clean"

    ended = cleanplate("template", "estimate", str(folder), "-o", str(file), settings=home)
    assert ended.returncode == 0, ended.stderr
    assert "opacity 0.4" in ended.stdout and "broken.jpg" in ended.stderr
    with Image.open(file.with_suffix(".png")) as sheet:
        assert sheet.width > 1000
    again = cleanplate("template", "estimate", str(folder), "-o", str(file), settings=home)
    assert again.returncode == 2 and "--force" in again.stderr

    command = ("template", "apply", str(file), str(folder), "-o", str(out), "--no-network")
    ended = cleanplate(*command, settings=home)
    assert ended.returncode == 1 and "24 cleaned, 1 failed, 1 skipped" in ended.stdout
    assert "image_unreadable" in ended.stderr
    assert (out / "without.jpg").read_bytes() == without
    assert sorted(path.name for path in out.iterdir()) == sorted([*(f"{n}.jpg" for n in range(24)), "without.jpg"])

    (out / "3.jpg").unlink()
    ended = cleanplate(*command, settings=home)
    assert "1 cleaned, 1 failed, 24 there" in ended.stdout


def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path, home: dict[str, str]) -> None:
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
