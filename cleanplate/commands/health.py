"""``healthy``: the health check of a container."""

from __future__ import annotations

import socket
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cleanplate.base.settings import Settings

WORKER_ANSWERS_WITHIN_S = 10.0


class Program(StrEnum):
    """The program to check."""

    SERVE = "serve"
    DISPATCH = "dispatch"
    WORKER = "worker"


def healthy(
    program: Annotated[Program, typer.Argument(help="The program to check on this machine.")],
) -> None:
    """Check whether a program works; the exit status (0 or 1) tells a container's health check.

    `serve`: the API on this machine is ready. `dispatch`: a dispatcher leads, on any machine. `worker`: a worker of
    this machine answers over the queue (Redis only).

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

    from cleanplate.base.loopback import local_url

    url = f"{local_url(settings.host, settings.port)}/readyz"
    try:
        answer = httpx.get(url, timeout=8, trust_env=False)
    except httpx.TransportError as error:
        return f"{url} does not answer: {error}"
    return None if answer.is_success else f"{url} answers {answer.status_code}"


def _dispatches(settings: Settings) -> str | None:
    from storage.database import Database
    from storage.leader import is_led

    database = Database.connect(settings.sqlalchemy_url)
    try:
        return None if is_led(database, settings) else "no dispatcher leads"
    finally:
        database.close()


def _works(settings: Settings) -> str | None:
    from workers.shared.queue import make_celery

    if settings.embedded_broker:
        return "a worker of the embedded service cannot be asked; `cleanplate up` watches it"
    host = socket.gethostname()
    with make_celery(settings) as app:
        answers = app.control.ping(timeout=WORKER_ANSWERS_WITHIN_S, limit=None) or []
    workers = [name for answer in answers for name in answer if name.endswith(f"@{host}")]
    return None if workers else f"no worker of {host} answers"
