"""Pages: no foreign or inline resources, errors for people, and complete texts in both languages."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from babel.messages.catalog import Message
from flask.testing import FlaskClient

from api.problem_kinds import CATALOGUE
from api.web.texts import FOLDER, LANGUAGES, catalogue, for_scripts
from cleanplate.base.settings import Settings
from model.formats import TYPES_BY_ENDING
from storage.ledger.lifecycle.transitions import IMAGE_TRANSITIONS, JOB_TRANSITIONS, TEMPLATE_TRANSITIONS
from storage.ledger.tenants.tenants import create_key
from storage.records import Scope
from tests.catalogues import as_file, page_texts, updated_catalogue
from tests.running import REPOSITORY
from tests.unit.api.calling import MakeService
from tests.unit.api.web.conftest import SignIn

PEOPLE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
OTHERS = [tag for tag in LANGUAGES if tag != "en"]
TEMPLATES = sorted((REPOSITORY / "api" / "templates" / "web").rglob("*.html"))


@pytest.fixture
def signed_in(browser: FlaskClient, key: tuple[str, str], sign_in: SignIn) -> FlaskClient:
    sign_in(browser, key[1])
    return browser


class Parts(HTMLParser):
    """The inline and the loaded resources of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in given and given.get("type") != "application/json"):
            self.inline.append(tag)
        self.loaded += [str(given[name]) for name in ("src", "href") if given.get(name)]


def test_a_page_takes_the_pictures_that_the_service_reads(signed_in: FlaskClient) -> None:
    page = signed_in.get("/jobs/new", headers=PEOPLE).text
    carried = re.search(r'<script type="application/json" id="picture-types">(.*?)</script>', page)
    assert carried is not None and json.loads(carried[1]) == TYPES_BY_ENDING
    accepted = [kinds.split(",") for kinds in re.findall(r'accept="(image/\*[^"]*)"', page) if ".json" not in kinds]
    assert len(accepted) == 2 and all(set(TYPES_BY_ENDING) < set(kinds) for kinds in accepted)


@pytest.mark.parametrize("path", ["/", "/login", "/nowhere"])
@pytest.mark.parametrize("tag", LANGUAGES)
def test_a_page_has_nothing_inline_and_loads_nothing_of_others(signed_in: FlaskClient, path: str, tag: str) -> None:
    answer = signed_in.get(path, headers={**PEOPLE, "Accept-Language": tag}, follow_redirects=True)
    parts = Parts()
    parts.feed(answer.text)
    assert parts.inline == []
    assert [address for address in parts.loaded if not address.startswith(("/", "#", "?"))] == []
    assert f'<html lang="{tag}"' in answer.text
    assert "'unsafe" not in answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_files_of_an_object_store_are_the_only_thing_from_elsewhere(
    make_service: MakeService, server_settings: Settings
) -> None:
    answer = make_service(server_settings).app.test_client().get("/login")
    assert f"connect-src 'self' {server_settings.s3_endpoint_url}" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(("setting", "offered"), [("on", True), ("off", False)])
def test_text_marks_are_offered_where_the_service_finds_them(
    make_service: MakeService, embedded_settings: Settings, sign_in: SignIn, setting: str, offered: bool
) -> None:
    service = make_service(embedded_settings.model_copy(update={"text_marks": setting}))
    browser = service.app.test_client()
    _, secret = create_key(service.stores.database, service.tenant("shop"), "page", scopes=list(Scope))
    sign_in(browser, secret)
    page = browser.get("/jobs/new", headers=PEOPLE).text
    assert ('data-way="text"' in page, 'id="texts-said"' in page) == (offered, offered)
    assert 'data-way="paint"' in page


def test_a_person_gets_errors_as_pages_and_a_program_as_problems(browser: FlaskClient) -> None:
    page = browser.get("/nowhere", headers=PEOPLE)
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "Not found" in page.text
    for path, headers in (("/nowhere", {}), ("/v1/nowhere", PEOPLE)):
        assert browser.get(path, headers=headers).mimetype == "application/problem+json"


def test_the_browser_chooses_the_language_and_a_link_chooses_otherwise(browser: FlaskClient) -> None:
    chinese = browser.get("/login", headers={"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"})
    assert "登录" in chinese.text
    assert "Sign in" in browser.get("/login", headers={"Accept-Language": "fr,en;q=0.5"}).text
    assert "登录" in browser.get("/login?lang=zh-CN").text
    assert "登录" in browser.get("/login", headers={"Accept-Language": "en"}).text
    assert "Sign in" in browser.get("/login?lang=xx", headers={"Accept-Language": "en"}).text


@pytest.mark.parametrize("tag", ["zh", "zh-Hans", "zh-Hans-CN", "zh-TW"])
def test_chinese_readers_get_chinese_pages(browser: FlaskClient, tag: str) -> None:
    assert "登录" in browser.get("/login", headers={"Accept-Language": tag}).text


@pytest.mark.parametrize("tag", OTHERS)
def test_a_catalogue_translates_what_the_pages_say_and_nothing_else(tag: str) -> None:
    translated = catalogue(tag)
    missing = [message.id for message in translated if message.id and not all(_forms(message))]
    assert missing == []
    assert as_file(updated_catalogue(tag)) == (FOLDER / f"{tag}.po").read_bytes(), "run make texts"


@pytest.mark.parametrize("tag", OTHERS)
def test_a_translation_has_the_places_of_its_text(tag: str) -> None:
    for message in catalogue(tag):
        if message.id:
            wanted = _places(str(message.id[-1] if message.pluralizable else message.id))
            assert all(_places(form) == wanted for form in _forms(message)), message.id


def test_the_pages_say_something() -> None:
    assert len([message for message in page_texts() if message.id]) > 60


def _forms(message: Message) -> list[str]:
    translations = message.string if isinstance(message.string, list | tuple) else [message.string]
    return [str(form or "") for form in translations]


def _places(text: str) -> list[str]:
    return sorted(re.findall(r"\{\w+\}|%\(\w+\)[sd]", text))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_names_are_escaped_everywhere(template: object) -> None:
    """No user input is rendered as markup; only the icons of this folder are."""
    text = template.read_text()
    assert set(re.findall(r"\{\{[^}]*\|\s*safe[^}]*\}\}", text)) <= {"{{ drawings[name] | safe }}"}
    assert "autoescape false" not in text


@pytest.mark.parametrize("tag", OTHERS)
def test_titles_of_problems_reach_the_scripts_in_each_language(tag: str) -> None:
    known = for_scripts(tag)
    assert [kind.title for kind in CATALOGUE.values() if not known.get(kind.title)] == []


def test_every_action_of_the_audit_log_has_words() -> None:
    source = (REPOSITORY / "api" / "templates" / "web" / "words.html").read_text()
    transitions = (*IMAGE_TRANSITIONS, *JOB_TRANSITIONS, *TEMPLATE_TRANSITIONS)
    actions = {transition.audit for transition in transitions} - {None}
    assert {action for action in actions if f"'{action}'" not in source} == set()
