"""A job that waits for a person: the pictures to look at, fetched, and what to do next, in words."""

from __future__ import annotations

from pathlib import Path

from cleanplate.client.answers import JobAnswer, TemplateAnswer
from cleanplate.client.http import Client

#: Where previews go, within the folder of the results.
FOLDER = "review"


def fetched(client: Client, job: JobAnswer, out: Path) -> dict[Path, TemplateAnswer]:
    """The marks that were found in a job's pictures, by the folder that holds their previews (made if missing)."""
    named = job.review.templates if job.review is not None else []
    found: dict[Path, TemplateAnswer] = {}
    for number, template_id in enumerate(named, 1):
        template = client.templates.get(template_id)
        folder = out / FOLDER / f"mark-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        for name in template.previews:
            client.templates.preview(template, name, folder / f"{name}.png")
        found[folder] = template
    return found


def what_was_found(marks: dict[Path, TemplateAnswer]) -> str:
    """What a person has to know of the marks, a line for each and one for each warning."""
    lines = []
    for folder, mark in marks.items():
        sure = "" if mark.confidence is None else f", confidence {mark.confidence:.2f}"
        lines.append(f"A mark was found in {mark.samples or 0} pictures{sure}. Look at it in {folder}.")
        lines += [f"  Warning: {warning}" for warning in mark.warnings]
    return "\n".join(lines)


def how_to_go_on(job: JobAnswer, page: str) -> str:
    """That the job waits, why if nothing was found, and the ways out of it."""
    waits = f"Job {job.id} waits for you (needs_review)"
    error = job.review.error if job.review is not None else None
    if error is not None:
        return (
            f"{waits}. No mark was found: {error.detail} ({error.code}) Let it begin with a mark that is known, "
            f"`cleanplate approve {job.id} --template TEMPLATE_ID`; or cancel it on {page}."
        )
    return (
        f"{waits}. Look at {page}, then let it begin with `cleanplate approve {job.id}`; "
        "or with another mark by --template, or cancel it there."
    )
