"""From a folder to a job: which files are pictures, which mask belongs to each, and where results must not go."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from cleanplate.client.answers import Rights
from cleanplate.client.http import Client
from cleanplate.errors import UsageError
from cleanplate.terminal.submission import clean, duration, gather

RIGHTS = Rights(basis="owner", attested_by="Jo Doe", reference="own photographs")


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def test_pictures_are_sorted_and_everything_else_is_left_out_by_name(tmp_path: Path) -> None:
    folder = touch(tmp_path / "in", "b.JPG", "a.png", "a.jpg", "c.jfif", "d.jp2", "notes.txt", ".hidden.png")
    (folder / "empty").mkdir()
    mask = touch(tmp_path, "mask.png") / "mask.png"
    work = gather(folder, mask)
    assert [path.name for path in work.pictures] == ["a.jpg", "a.png", "b.JPG", "c.jfif"]
    assert work.masks == [mask] * 4
    assert [group.text(folder) for group in work.left_out] == [
        "1 hidden (.hidden.png)",
        "2 not pictures by their name (d.jp2, notes.txt)",
    ]


def test_pictures_of_subfolders_keep_their_paths_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    folder = touch(tmp_path / "in", "top.jpg")
    for inner in ("b/c", "a", "out", "masks"):
        touch(folder / inner, "one.jpg", "two.png")
    (folder / "link").symlink_to(folder / "a")
    mask = touch(tmp_path, "mask.png") / "mask.png"
    work = gather(folder, mask, apart=folder / "out", globs=["*.jpg"])
    paths = ["a/one.jpg", "b/c/one.jpg", "masks/one.jpg", "top.jpg"]
    assert [work.path_of(picture) for picture in work.pictures] == paths
    assert [group.text(folder) for group in work.left_out] == [
        "3 not matched by --glob (a/two.png, b/c/two.png, masks/two.png)",
        "1 links to folders (link)",
        "1 folders of masks or results (out)",
    ]
    flat = gather(folder, mask, recursive=False)
    assert [work.path_of(picture) for picture in flat.pictures] == ["top.jpg"]
    assert "4 subfolders, without --recursive (a, b, masks, out)" in [group.text(folder) for group in flat.left_out]


def test_a_mask_of_the_same_path_wins_over_one_of_the_same_stem(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for inner in ("a", "b"):
        touch(folder / inner, "front.jpg")
    touch(folder / "c", "back.jpg")
    masks = tmp_path / "masks"
    for inner in ("a", "b"):
        touch(masks / inner, "front.png")
    touch(masks, "back.png")
    work = gather(folder, masks)
    assert [mask.relative_to(masks).as_posix() for mask in work.masks] == ["a/front.png", "b/front.png", "back.png"]
    touch(folder / "c", "front.jpg")
    with pytest.raises(UsageError, match=r"does not for c/front\.jpg"):
        gather(folder, masks)


def test_masks_of_a_folder_belong_to_the_pictures_of_their_stem(tmp_path: Path) -> None:
    folder = touch(tmp_path / "in", "a.jpg", "a.png", "b.webp")
    masks = touch(tmp_path / "masks", "a.png", "b.png", "of-another.png")
    assert [path.name for path in gather(folder, masks).masks] == ["a.png", "a.png", "b.png"]


@pytest.mark.parametrize("names", [["a.png"], ["a.png", "b.png", "b.bmp"]])
def test_a_picture_without_exactly_one_mask_is_named(tmp_path: Path, names: list[str]) -> None:
    folder = touch(tmp_path / "in", "a.jpg", "b.jpg")
    with pytest.raises(UsageError, match=r"does not for b\.jpg"):
        gather(folder, touch(tmp_path / "masks", *names))


def test_a_folder_that_cannot_be_a_job_is_refused(tmp_path: Path) -> None:
    mask = touch(tmp_path, "mask.png") / "mask.png"
    with pytest.raises(UsageError, match="not a folder"):
        gather(tmp_path / "missing", mask)
    with pytest.raises(UsageError, match="no pictures"):
        gather(touch(tmp_path / "in", "notes.txt"), mask)
    with pytest.raises(UsageError, match="no mask"):
        gather(touch(tmp_path / "in", "a.png"), tmp_path / "missing.png")


def test_results_never_replace_the_input(tmp_path: Path) -> None:
    folder = touch(tmp_path / "in", "a.png")
    masks = touch(tmp_path / "masks", "a.png")
    work = gather(folder, masks)
    (tmp_path / "link").symlink_to(folder)
    with Client("http://127.0.0.1:1", "k") as client:
        for out in (folder, masks, tmp_path / "link", folder / ".." / "in"):
            with pytest.raises(UsageError, match="holds the input"):
                clean(client, work, out, rights=RIGHTS, console=Console(quiet=True))


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (42.4, "42 s"), (600, "10 min"), (11_100, "3 h 05 min")])
def test_times_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words
