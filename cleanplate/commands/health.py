"""``healthy``: what a container's health check asks."""

from __future__ import annotations

import socket
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cleanplate.base.settings import Settings

WORKER_ANSWERS_WITHIN_S = 10.0


class Program(StrEnum):
    """What runs beside the check."""

    SERVE = "serve"
    DISPATCH = "dispatch"
    WORKER = "worker"


def healthy(
    program: Annotated[Program, typer.Argument(help="What runs on this machine and is asked after.")],
) -> None:
    """Say by the exit status (0 or 1) whether a program does its work: for health checks of containers.

    `serve`: the API on this machine is ready. `dispatch`: some dispatcher leads. `worker`: a worker of this machine
    answers over the queue (Redis only).

    Example: `cleanplate healthy serve`
    """
    from cleanplate.base.settings import load_settings

    check = {Program.SERVE: _serves, Program.DISPATCH: _dispatches, Program.WORKER: _works}[program]
    complaint = check(load_settings())
    if complaint:
        typer.echo(f"cleanplate: {complaint}", err=True)
        raise typer.Exit(1)


def _serves(settings: Settings) -> str | None:
    import httpx

    from cleanplate.embedded.service import local_url

    url = f"{local_url(settings.host, settings.port)}/readyz"
    try:
        answer = httpx.get(url, timeout=8, trust_env=False)
    except httpx.TransportError as error:
        return f"{url} does not answer: {error}"
    return None if answer.is_success else f"{url} answers {answer.status_code}"


def _dispatches(settings: Settings) -> str | None:
    from storage.database import Database
    from storage.leader import leadership

    database = Database.connect(settings.sqlalchemy_url)
    try:
        database.check()
        with leadership(database, settings) as candidate:
            # Who can become the leader has found that nobody was; the place is free again at once.
            return "nobody leads the dispatch" if candidate.held() else None
    finally:
        database.close()


def _works(settings: Settings) -> str | None:
    from workers.shared.queue import make_celery

    if settings.embedded_broker:
        return "a worker of the embedded service cannot be asked; `cleanplate up` watches it"
    host = socket.gethostname()
    with make_celery(settings) as app:
        answers = app.control.ping(timeout=WORKER_ANSWERS_WITHIN_S, limit=None) or []
    here = [name for answer in answers for name in answer if name.endswith(f"@{host}")]
    return None if here else f"no worker of {host} answers"
