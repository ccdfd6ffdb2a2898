"""The Chinese page says in Chinese whatever the service refuses or fails at: by codes, never by English sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from api.fault_kinds import FAULTS
from api.problem_kinds import CATALOGUE
from cleanplate.base.templates import TemplateWarning
from model.errors import TemplateRefused
from model.imaging import side_pictures
from model.watermark.caution import Caution
from model.watermark.template import SIDES
from tests.browser import signed_in, state_rights
from tests.embedded import Embedded
from tests.running import REPOSITORY
from workers.device.templates.kinds import unreadable_warning

#: Four Latin words in a row, which no Chinese sentence has.
ENGLISH = re.compile(r"[A-Za-z']{2,}(?:[ ,;]+[A-Za-z']+){3,}")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
#: Sources that give the codes with which pictures, masks, marks and templates fail.
_RAISED = re.compile(
    r"(?:ImageRejected|MaskRejected|TemplateRefused|TemplateRejected|TemplateUnmade|_failed)\(\s*(?:image, record, )?"
    r'"([a-z]\w+_\w+)"'
)
#: Errors of programs, of training and of arrays in Python, which no page shows.
_ELSEWHERE = re.compile(r"^(training|recipe|photos|checkpoint|weights)_|_array_")


def codes_of_failures() -> set[str]:
    """The codes with which images and templates fail, as the sources of workers and model have them."""
    sources = [path for folder in ("model", "workers") for path in (REPOSITORY / folder).rglob("*.py")]
    codes = {code for path in sources for code in _RAISED.findall(path.read_text())}
    named = (REPOSITORY / "workers" / "errors.py").read_text() + (REPOSITORY / "model" / "errors.py").read_text()
    classes = "ResidualMark|TemplateGone|ModelMissing|Destination\\w+|Url\\w+|Source\\w+|ResultDiffers|DeviceFull"
    classes += "|DeviceLost|ResultNotFinite|TextReaderMissing"
    codes |= set(re.findall(rf'class (?:{classes})\(.*?\n    code = "(\w+)"', named, re.DOTALL))
    return {code for code in codes if not _ELSEWHERE.search(code)} - {"source_error"}


@pytest.fixture
def chinese(browser: Browser, service: Embedded) -> Iterator[Page]:
    with signed_in(browser, service, locale="zh-CN") as context:
        state_rights(context)
        page = context.new_page()
        page.goto("/jobs/new")
        yield page


def assert_chinese(sentences: dict[str, str]) -> None:
    wrong = {code: text for code, text in sentences.items() if not CHINESE.search(text) or ENGLISH.search(text)}
    assert wrong == {}


def test_every_kind_of_fault_is_said_in_chinese(chinese: Page) -> None:
    faults = [
        {"code": code, "params": dict.fromkeys(names, 7), "detail": "This sentence is in English alone."}
        for code, names in {**FAULTS, **dict.fromkeys(CATALOGUE, ()), "brand_new": ()}.items()
    ]
    sentences: dict[str, str] = chinese.evaluate(
        """async (faults) => {
            const { faultText } = await import('/static/web/words/faults.js');
            return Object.fromEntries(faults.map((fault) => [fault.code, faultText(fault)]));
        }""",
        faults,
    )
    assert_chinese(sentences)
    unfilled = {code: text for code, text in sentences.items() if re.search(r"\{(?!image_id\})", text)}
    assert unfilled == {}
    own = [text for code, text in sentences.items() if code in FAULTS]
    assert len(set(own)) >= len(own) - 3  # a code has a sentence of its own; three limits of length share theirs


def test_every_problem_has_a_chinese_title_and_says_nothing_english(chinese: Page) -> None:
    titles: dict[str, str] = chinese.evaluate(
        """async (problems) => {
            const { t } = await import('/static/web/words/texts.js');
            const { sentenceOf } = await import('/static/web/words/reasons.js');
            const detail = 'This sentence is in English alone.';
            const said = ([code, title]) => `${t(title)} ${sentenceOf({ code, detail })}`;
            return Object.fromEntries(problems.map((problem) => [problem[0], said(problem)]));
        }""",
        [[code, kind.title] for code, kind in CATALOGUE.items()],
    )
    assert_chinese(titles)


def test_every_way_to_fail_has_a_chinese_reason(chinese: Page) -> None:
    codes = sorted(codes_of_failures())
    assert {"image_truncated", "mask_empty", "mark_not_found", "residual_mark", "worker_lost"} <= {
        *codes,
        "worker_lost",
    }
    reasons: dict[str, str] = chinese.evaluate(
        """async (codes) => {
            const { reasonOf } = await import('/static/web/words/reasons.js');
            return Object.fromEntries(codes.map((code) => [code, reasonOf(code).join(' ')]));
        }""",
        codes,
    )
    assert_chinese(reasons)
    assert {code: text for code, text in reasons.items() if code in text} == {}


def test_every_caution_about_a_found_mark_is_said_in_chinese(chinese: Page) -> None:
    refused = (
        TemplateRefused.uninformed(2.0, 9, 20),
        TemplateRefused.unproven(12, 11, 5),
        TemplateRefused.of_goods(12, 3, 9, 0.95),
    )
    cautions = [*map(Caution.forced, refused), Caution.doubtful(), Caution.not_everywhere(12, 11, 5)]
    cautions += [Caution.scattered(24), Caution.end_unseen("left", 1, 24)]
    asked = [{"code": one.code, "params": one.params, "detail": str(one)} for one in cautions]
    asked.append(unreadable_warning({"shirt-1.png": "The file is gone.", "shirt-2.png": "It is cut off."}).model_dump())
    asked.append({"code": "", "params": {}, "detail": "A sentence of an earlier version."})
    sentences: dict[str, str] = chinese.evaluate(
        """async (cautions) => {
            const { cautionText } = await import('/static/web/words/cautions.js');
            return Object.fromEntries(cautions.map((caution) => [caution.code, cautionText(caution)]));
        }""",
        asked,
    )
    assert_chinese(sentences)
    assert len(set(sentences.values())) == len(asked)
    for one in asked:
        # A side is said in Chinese too.
        shown = [str(value) for value in one["params"].values() if value not in SIDES]
        assert [value for value in shown if value not in sentences[one["code"]]] == []
    documented = set(re.findall(r"`(\w+)`", TemplateWarning.model_fields["code"].description or ""))
    assert documented | {""} == {one["code"] for one in asked}


def test_what_a_result_lacks_is_said_in_chinese(chinese: Page) -> None:
    names = (value for name, value in vars(side_pictures).items() if re.fullmatch("[A-Z][A-Z_]+", name))
    codes = ["restart_markers", *(value for value in names if isinstance(value, str))]
    assert len(codes) == 8
    said: dict[str, str] = chinese.evaluate(
        """async (codes) => {
            const { remarksOf } = await import('/static/web/words/remarks.js');
            return Object.fromEntries(codes.map((code) => [code, remarksOf({ left_out: [code] }).join(' ')]));
        }""",
        codes,
    )
    assert_chinese(said)
    assert {code: text for code, text in said.items() if code in text} == {}


def test_a_refused_list_is_told_row_by_row_in_chinese(chinese: Page, tmp_path: Path) -> None:
    listed = tmp_path / "list.jsonl"
    rows = [{"url": "https://shop.example/a.jpg", "nmae": "x"}, {"url": "https://127.0.0.1/a.jpg"}, {"name": "x"}]
    listed.write_text("\n".join(json.dumps(row) for row in rows))
    chinese.locator("[data-way=manifest]").click()
    chinese.set_input_files("#manifest", listed)
    chinese.locator("label:has(input[value=list])").click()
    chinese.context.complaints.clear()  # type: ignore[attr-defined]
    chinese.locator("#start").click()
    expect(chinese.locator("#faults")).to_be_visible()
    shown = chinese.locator("#faults li").all_inner_texts()
    assert len(shown) == 3
    assert_chinese({text: text for text in shown})
    chinese.context.complaints.clear()  # type: ignore[attr-defined] # the console logs the refusal
