"""Text marks on single pictures: found, chosen by words and place, masked by their strokes; print on goods stays."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.imaging import Limits
from model.repair.task import fill_parts, write
from model.text import reading
from model.text.doubt import doubts_of, standing
from model.text.files import find
from model.text.reading import Line, TextReader
from model.text.strokes import strokes_of
from model.text.wanted import AREAS, Wanted, plain
from tests.catalogue import png
from tests.running import REPOSITORY
from tests.texts import HEIGHT, chinese, goods, laid, letters, printed

LIMITS = Limits(max_bytes=10**7, max_pixels=10**7)


@pytest.fixture(scope="module")
def reader() -> TextReader:
    return TextReader(1)


def line(text: str, x: float = 50, y: float = 50, confidence: float = 0.9) -> Line:
    corners = np.array([[x - 40, y - 10], [x + 40, y - 10], [x + 40, y + 10], [x - 40, y + 10]], np.float32)
    return Line(corners, text, confidence)


@pytest.mark.parametrize(
    ("wanted", "said", "chosen"),
    [
        ("Doe Shirts", ["DOE SHIRTS", "BASKETBALL"], [0]),
        ("Doe Shirts", ["© Doe-Shirts 2024"], [0]),
        ("Doe Shirts", ["Dce Shirls"], [0]),
        ("Doe Shirts", ["Doe", "Shirts", "Shorts on sale"], [0, 1]),
        ("Doe Shirts", ["Shirts"], []),
        ("Doe Shirts", ["Do"], []),
        ("Doe Shirts", [""], []),
        ("样品图片", ["样品图片", "图书"], [0]),
        ("版权所有 翻版必究", ["版权所有", "翻版必究"], [0, 1]),
        ("café", ["CAFE"], [0]),
        ("SAMPLE", ["ＳＡＭＰＬＥ"], [0]),
    ],
)
def test_lines_are_chosen_by_what_they_say(wanted: str, said: list[str], chosen: list[int]) -> None:
    lines = [line(text) for text in said]
    assert Wanted((wanted,)).saying(lines) == [lines[index] for index in chosen]


def test_without_a_text_only_lines_that_read_as_text_count() -> None:
    lines = [line("SALE"), line("l", confidence=0.99), line("warp", confidence=0.2), line("~~", confidence=0.9)]
    assert Wanted().saying(lines) == lines[:1]


@given(st.text(max_size=40))
def test_plain_text_holds_letters_and_digits_and_is_stable(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert all(letter.isalnum() for letter in plain(text))


@given(st.sampled_from(sorted(AREAS)), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_a_named_area_is_where_its_name_says(name: str, x: float, y: float) -> None:
    """A corner lies within both of its sides' halves; the centre within none of the sides."""
    inside = bool(Wanted(areas=(AREAS[name],)).placed([line("x", x * 600, y * 300)], width=600, height=300))
    if inside:
        assert ("left" not in name or x <= 0.5) and ("right" not in name or x >= 0.5)
        assert ("top" not in name or y <= 0.34) and ("bottom" not in name or y >= 0.66)
        assert name != "center" or (abs(x - 0.5) < 0.17 and abs(y - 0.5) < 0.17)


@pytest.mark.parametrize(("drawn", "said"), [(letters("Doe Shirts"), "Doe Shirts"), (chinese(), "样品图片")])
def test_a_mark_is_taken_off_by_its_text_and_print_stays(
    reader: TextReader, drawn: np.ndarray[tuple[int, int], np.dtype[np.float32]], said: str
) -> None:
    given_picture, ink = laid(printed(), drawn, (0.7, 0.85))
    found = find(png(given_picture), Wanted((said,)), reader, limits=LIMITS)
    assert found.task is not None
    assert [plain(one.text) for one in found.marks] == [plain(said)]
    hole = found.task.hole > 0
    assert hole[ink].mean() > 0.97
    assert not hole[: HEIGHT // 2].any()
    # Strokes, not a box: less than the line's own rectangle, widened as its mask is.
    rows, columns = np.nonzero(ink)
    box = (np.ptp(rows) + 20) * (np.ptp(columns) + 20)
    assert hole.sum() < 0.9 * box


def test_a_mark_is_found_by_its_place_alone(reader: TextReader) -> None:
    given_picture, ink = laid(printed(), letters("Doe Shirts"), (0.7, 0.85))
    marks = find(png(given_picture), Wanted(areas=(AREAS["bottom_right"],)), reader, limits=LIMITS)
    assert marks.task is not None
    assert not marks.task.hole[: HEIGHT // 2].any()
    assert (marks.task.hole > 0)[ink].mean() > 0.97
    elsewhere = find(png(given_picture), Wanted(areas=(AREAS["left"],)), reader, limits=LIMITS)
    assert elsewhere.task is None
    assert elsewhere.seen == 2


def test_a_picture_without_the_text_has_nothing_to_be_done(reader: TextReader) -> None:
    marks = find(png(printed()), Wanted(("Doe Shirts",)), reader, limits=LIMITS)
    assert (marks.task, marks.marks, marks.seen) == (None, (), 1)


def test_ink_that_cannot_be_told_from_its_ground_is_masked_by_its_lines_shape() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (80, 200, 3)).astype(np.uint8)
    corners = np.array([[40, 30], [160, 30], [160, 50], [40, 50]], np.float32)
    strokes = strokes_of(noise, [Line(corners)])
    mask = strokes.mask
    assert strokes.untold == 1
    assert (mask[30:51, 40:161] == 255).all()
    assert not mask[:20].any()


@pytest.mark.parametrize(
    ("sample", "place", "most_beside"),
    [
        ("garment-1c73d4a8.png", (0.65, 0.6), 0.65),
        ("garment-6f6bcdbc.png", (0.5, 0.5), 0.65),
        ("garment-94d161bd.png", (0.5, 0.5), 0.4),
    ],
)
def test_edges_and_folds_of_goods_are_no_ink(sample: str, place: tuple[float, float], most_beside: float) -> None:
    """Of a line's ink all but a little is masked, and beside it a bounded share of its area."""
    with Image.open(REPOSITORY / "samples" / "originals" / sample) as opened:
        ground = np.asarray(opened.convert("RGB"))
    marked, ink = laid(ground, letters("shop.example"), place)
    rows, columns = np.nonzero(ink)
    left, top, right, bottom = columns.min() - 4, rows.min() - 6, columns.max() + 4, rows.max() + 6
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)
    mask = strokes_of(marked, [Line(corners)]).mask > 0
    near = cv2.dilate(ink.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert mask[ink].mean() > 0.97
    assert (mask & ~near).sum() < most_beside * near.sum()


def test_a_repair_over_detail_or_with_a_large_hole_is_to_be_looked_at(reader: TextReader) -> None:
    mark = letters("Doe Shirts")
    plain_ground = np.full((HEIGHT, 560, 3), 90, np.uint8)
    detail = np.random.default_rng(1).integers(-30, 30, plain_ground.shape)
    detailed = (plain_ground + np.repeat(np.repeat(detail[::3, ::3], 3, 0), 3, 1)[:HEIGHT, :560]).astype(np.uint8)
    for ground, doubts in ((plain_ground, ()), (detailed, ("over_detail",))):
        marks = find(
            png(laid(ground, mark, (0.5, 0.85), opacity=0.9)[0]), Wanted(("Doe Shirts",)), reader, limits=LIMITS
        )
        assert (marks.doubts, standing(marks.doubts, 0.9)) == (doubts, [])
        assert standing(marks.doubts, 0.1) == list(doubts)
    lines = [Line(np.array([[40, 30], [160, 30], [160, 50], [40, 50]], np.float32))]
    noise = np.random.default_rng(3).integers(0, 255, (80, 200, 3)).astype(np.uint8)
    assert doubts_of(noise, lines, strokes_of(noise, lines)) == ("hole_large", "over_detail")


@settings(max_examples=30)
@given(st.lists(st.floats(-60, 300), min_size=8, max_size=8))
def test_any_shape_of_a_line_gives_a_mask_near_it(places: list[float]) -> None:
    corners = np.array(places, np.float32).reshape(4, 2)
    mask = strokes_of(goods()[:200, :240], [Line(corners)]).mask
    assert mask.shape == (200, 240)
    assert set(np.unique(mask)) <= {0, 255}


def test_an_animation_is_repaired_in_all_frames_where_any_shows_the_mark(reader: TextReader) -> None:
    marked, ink = laid(goods(), letters("Doe Shirts"), (0.5, 0.85), opacity=0.9)
    out = io.BytesIO()
    frames = [Image.fromarray(frame) for frame in (goods(), marked, goods(2))]
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:], duration=100)
    marks = find(out.getvalue(), Wanted(("Doe Shirts",)), reader, limits=LIMITS)
    assert marks.task is not None
    assert len(marks.task.parts) == 3
    assert all((part.hole > 0)[ink].mean() > 0.95 for part in marks.task.parts)


def test_pages_of_a_document_are_looked_at_one_by_one(reader: TextReader) -> None:
    marked, _ = laid(goods(), letters("Doe Shirts"), (0.5, 0.85))
    out = io.BytesIO()
    pages = [Image.fromarray(goods()), Image.fromarray(marked)]
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    marks = find(out.getvalue(), Wanted(("Doe Shirts",)), reader, limits=LIMITS)
    assert marks.task is not None
    assert [bool(part.hole.any()) for part in marks.task.parts] == [False, True]
    results = fill_parts(marks.task, lambda part, _: part.picture.pixels, lambda _: None)
    with Image.open(io.BytesIO(write(marks.task, results).data)) as written:
        assert np.array_equal(np.asarray(written.convert("RGB")), goods())


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (20, 900), (900, 20)])
def test_pictures_of_any_shape_can_be_looked_at(reader: TextReader, size: tuple[int, int]) -> None:
    assert reader.find(np.zeros((*size, 3), np.uint8)) == []


def test_the_networks_lie_in_the_package_and_nothing_is_fetched(
    reader: TextReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("something is fetched")

    monkeypatch.setattr("socket.socket.connect", refused)
    fresh = TextReader(1)
    given_picture, _ = laid(goods(), letters("Doe Shirts"), (0.5, 0.5))
    assert [plain(one.text) for one in fresh.read(given_picture, fresh.find(given_picture))] == ["doeshirts"]


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "missing", lambda: ["rapidocr"])
    with pytest.raises(reading.TextReaderMissing, match=r"cleanplate\[text\]") as caught:
        TextReader(1).find(goods())
    assert (caught.value.code, caught.value.transient) == ("text_marks_missing", True)
