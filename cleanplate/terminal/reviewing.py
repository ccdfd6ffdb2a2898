"""A job that waits for a person: its previews, and the next steps in words."""

from __future__ import annotations

from pathlib import Path

from cleanplate.base.files import make_folder
from cleanplate.client.answers import JobAnswer, TemplateAnswer
from cleanplate.client.http import Client

#: The folder of previews within the folder of the results.
FOLDER = "review"


def fetch_previews(client: Client, job: JobAnswer, out: Path) -> dict[Path, TemplateAnswer]:
    """Fetch previews of the marks found in a job's pictures; the marks by the folder of their previews."""
    template_ids = job.review.templates if job.review is not None else []
    marks: dict[Path, TemplateAnswer] = {}
    for number, template_id in enumerate(template_ids, 1):
        template = client.templates.get(template_id)
        folder = out / FOLDER / f"mark-{number}"
        make_folder(folder)
        for name in template.previews:
            client.templates.preview(template, name, folder / f"{name}.png")
        marks[folder] = template
    return marks


def marks_description(marks: dict[Path, TemplateAnswer]) -> str:
    """A line for each mark and one for each of its warnings."""
    lines = []
    for folder, mark in marks.items():
        confidence = "" if mark.confidence is None else f", confidence {mark.confidence:.2f}"
        lines.append(f"A mark was found in {mark.samples or 0} pictures{confidence}. Look at it in {folder}.")
        lines += [f"  Warning: {warning}" for warning in mark.warnings]
    return "\n".join(lines)


def next_steps(job: JobAnswer, page: str) -> str:
    """Why the job waits, and the commands that start or cancel it."""
    waits = f"Job {job.id} waits for you (needs_review)"
    error = job.review.error if job.review is not None else None
    if error is not None:
        return (
            f"{waits}. No mark was found: {error.detail} ({error.code}) Start it with a known mark, "
            f"`cleanplate approve {job.id} --template TEMPLATE_ID`; or cancel it, `cleanplate jobs cancel {job.id}`."
        )
    return (
        f"{waits}. Look at {page}, then start it with `cleanplate approve {job.id}`; "
        f"or with another mark by --template; or cancel it, `cleanplate jobs cancel {job.id}`."
    )
