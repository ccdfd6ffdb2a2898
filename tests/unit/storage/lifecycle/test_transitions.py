"""The table of transitions is the only way from state to state, and the drawing in the docs is the table."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from sqlalchemy import Table, update
from sqlalchemy.exc import IntegrityError

import storage
from storage.database import Database
from storage.ledger.lifecycle.drawing import BEGIN_MARK, END_MARK, draw
from storage.ledger.lifecycle.images import (
    AttemptEnd,
    Branch,
    lock_images_of_job,
    move_images,
    move_images_of_job,
)
from storage.ledger.lifecycle.jobs import move_job
from storage.ledger.lifecycle.templates import move_templates
from storage.ledger.lifecycle.transitions import (
    IMAGE_TRANSITIONS,
    JOB_TRANSITIONS,
    TEMPLATE_TRANSITIONS,
    ImageTransition,
    JobTransition,
    TemplateTransition,
)
from storage.ledger.operations import audit
from storage.ledger.templates.templates import create_template, get_template
from storage.records import Counts, EstimateSpec, ImageState, JobState, NewTemplate, TemplateState
from storage.tables import images, jobs, templates
from tests.shop import Shop

ROOT = Path(storage.__file__).parent.parent
#: Tables whose rows have a life cycle.
TABLES = ("images", "jobs", "templates")

#: Every pair of states that an image may go through, the first and the last being none.
IMAGE_PAIRS = {
    (None, "queued"),
    ("queued", "running"),
    ("running", "succeeded"),
    ("running", "skipped"),
    ("running", "failed"),
    ("running", "queued"),
    ("queued", "failed"),
    ("queued", "canceled"),
    ("running", "canceled"),
    ("failed", "queued"),
    ("succeeded", "queued"),
    *((state.value, None) for state in ImageState),
}
JOB_PAIRS = {
    (None, "queued"),
    (None, "estimating"),
    ("estimating", "needs_review"),
    ("estimating", "queued"),
    ("needs_review", "queued"),
    ("queued", "running"),
    *(
        (state, end)
        for state in ("estimating", "needs_review", "queued", "running")
        for end in ("completed", "canceled")
    ),
    ("running", "running"),
    ("estimating", "estimating"),
    ("needs_review", "needs_review"),
    ("completed", "running"),
    ("completed", "estimating"),
    ("completed", "needs_review"),
    *((state.value, None) for state in JobState),
}
TEMPLATE_PAIRS = {
    (None, "estimating"),
    (None, "ready"),
    (None, "needs_review"),
    ("estimating", "estimating"),
    ("estimating", "ready"),
    ("estimating", "needs_review"),
    ("estimating", "failed"),
    ("needs_review", "ready"),
    ("needs_review", "rejected"),
    *((state.value, None) for state in TemplateState),
}
MOVES = [transition for transition in IMAGE_TRANSITIONS if transition.sources and transition.target is not None]
JOB_MOVES = [transition for transition in JOB_TRANSITIONS if transition.sources and transition.target is not None]
TEMPLATE_MOVES = [each for each in TEMPLATE_TRANSITIONS if each.sources and each.target is not None]
Transitions = tuple[ImageTransition, ...] | tuple[JobTransition, ...] | tuple[TemplateTransition, ...]


def pairs(transitions: Transitions) -> set[tuple[str | None, str | None]]:
    return {(source, each.target) for each in transitions for source in (each.sources or (None,))}


def test_the_table_has_these_pairs_and_no_others() -> None:
    assert pairs(IMAGE_TRANSITIONS) == IMAGE_PAIRS
    assert pairs(JOB_TRANSITIONS) == JOB_PAIRS
    assert pairs(TEMPLATE_TRANSITIONS) == TEMPLATE_PAIRS


def put(shop: Shop, state: ImageState) -> tuple[str, str]:
    """An image that is in a state, of a job with nothing else; both ids."""
    job = shop.submit(1)
    (image_id,) = shop.image_ids(job.id)
    with shop.db.write() as connection:
        connection.execute(update(images).where(images.c.id == image_id).values(state=state))
        counts = {"queued": 0} | {state.value: 1}
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(counts))
    return job.id, image_id


def move(shop: Shop, transition: ImageTransition, job_id: str, image_id: str) -> None:
    with shop.db.write() as connection:
        if len(transition.sources) > 1:
            if locked := lock_images_of_job(connection, job_id, transition):
                move_images_of_job(shop.db, connection, job_id, transition, locked)
            return
        move_images(
            shop.db,
            connection,
            [Branch(transitions=(transition,), values={"error_code": "x"} if transition.target == "failed" else {})],
            images.c.id == image_id,
            worker="w",
            attempt_end=lambda _: AttemptEnd("failed"),
            audit_entry=audit.image_failed,
        )


@pytest.mark.parametrize("transition", MOVES, ids=lambda transition: transition.name)
def test_an_image_moves_from_its_source_states_only(shop: Shop, transition: ImageTransition) -> None:
    for state in ImageState:
        job_id, image_id = put(shop, state)
        move(shop, transition, job_id, image_id)
        expected = transition.target if state in transition.sources else state
        assert shop.image(image_id).state == expected
        assert shop.job(job_id).counts == Counts(**{str(expected): 1}) == shop.count_images(job_id)


@pytest.mark.parametrize("transition", JOB_MOVES, ids=lambda transition: transition.name)
def test_a_job_moves_from_its_source_states_only(shop: Shop, transition: JobTransition) -> None:
    for state in JobState:
        job = shop.submit(1)
        entry = audit.Event(shop.tenant, transition.audit, "service", job.id, None, {}) if transition.audit else None
        with shop.db.write() as connection:
            connection.execute(update(jobs).where(jobs.c.id == job.id).values(state=state, review={"templates": []}))
            moved = move_job(shop.db, connection, transition, job.id, entry=entry)
        assert moved is (state in transition.sources)
        assert shop.job(job.id).state == (transition.target if moved else state)


@pytest.mark.parametrize("transition", TEMPLATE_MOVES, ids=lambda transition: transition.name)
def test_a_template_moves_from_its_source_states_only(shop: Shop, transition: TemplateTransition) -> None:
    for number, state in enumerate(TemplateState):
        new = NewTemplate(name=f"{number}", spec=EstimateSpec(), source_job_id=shop.submit(1).id)
        template = create_template(shop.db, shop.tenant, new)
        entry = audit.Event(shop.tenant, transition.audit or "", "service", None, None, {})
        entries = [entry] if transition.audit else []
        with shop.db.write() as connection:
            connection.execute(
                update(templates)
                .where(templates.c.id == template.id)
                .values(state=state, attempt=1, progress={"stage": "read", "done": 1, "total": 2})
            )
            moved = move_templates(shop.db, connection, transition, templates.c.id == template.id, entries=entries)
        after = get_template(shop.db, shop.tenant, template.id)
        assert bool(moved) is (state in transition.sources)
        assert after.state == (transition.target if moved else state)
        assert after.attempt == 1 + (transition.attempts if moved else 0)
        assert (after.progress is None) is bool(moved)
        assert (after.finished_at is not None, after.reviewed_at is not None) == (
            bool(moved) and transition.makes,
            bool(moved) and transition.reviews,
        )


@pytest.mark.parametrize("table", [images, jobs, templates], ids=str)
def test_the_ledger_refuses_a_state_that_is_none(db: Database, shop: Shop, table: Table) -> None:
    job = shop.submit(1)
    create_template(db, shop.tenant, NewTemplate(name="a", spec=EstimateSpec(), source_job_id=job.id))
    with pytest.raises(IntegrityError, match="state"), db.write() as connection:
        connection.execute(update(table).values(state="lost"))


def test_no_other_module_writes_a_state() -> None:
    """Neither an insertion into images, jobs or templates, nor a change of their ``state``, stands anywhere else."""
    writers = set()
    for package in ("storage", "api", "workers", "cleanplate", "bench"):
        for path in (ROOT / package).rglob("*.py"):
            for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
                if _writes_state(call):
                    writers.add(path.relative_to(ROOT).as_posix())
    # The fold adds counts by their names.
    writers.remove("storage/ledger/jobs/counting.py")
    assert writers == {f"storage/ledger/lifecycle/{name}.py" for name in ("images", "jobs", "templates")}


def _writes_state(call: ast.Call) -> bool:
    source = ast.unparse(call)
    if source.startswith(tuple(start for table in TABLES for start in (f"insert({table}", f"{table}.insert"))):
        return True
    if (isinstance(call.func, ast.Name) and call.func.id == "insert_rows") or source.startswith("bulk.insert_rows("):
        return any(isinstance(argument, ast.Name) and argument.id in TABLES for argument in call.args)
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "values"):
        return False
    changes = ast.unparse(call.func.value)
    if not changes.startswith(tuple(f"update({table})" for table in TABLES)):
        return False
    # Values that are spelled out, without a state among them, change no state.
    spelled_out = all(isinstance(argument, ast.Dict) for argument in call.args) and all(
        keyword.arg is not None for keyword in call.keywords
    )
    return not spelled_out or "state" in {keyword.arg for keyword in call.keywords} or "'state'" in source


def test_each_transition_is_decided_where_the_table_says() -> None:
    for transition in (*IMAGE_TRANSITIONS, *JOB_TRANSITIONS, *TEMPLATE_TRANSITIONS):
        assert (ROOT / transition.decided_in).is_file(), transition.decided_in


def test_the_drawing_in_the_docs_is_the_table() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    drawing = text[text.index(BEGIN_MARK) : text.index(END_MARK) + len(END_MARK)]
    assert drawing == draw(), "replace it by what `python -m storage.ledger.lifecycle` prints"
