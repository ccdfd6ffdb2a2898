"""``up``, ``serve``, ``worker``, ``dispatch``, ``migrate``: what runs the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def up(
    port: Annotated[
        int | None, typer.Option(help="Port of the API on this machine; 0 finds a free one.", show_default="8787")
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(help="Folder for everything the service keeps.", show_default="~/.cleanplate"),
    ] = None,
) -> None:
    """Run everything on this machine: the API, a worker and the dispatcher, with one folder as their only store.

    The first start makes an API key and writes it to `HOME/api-key`, readable by you alone. A process that dies is
    started again. Ctrl-C or SIGTERM stops all of them.

    Example: `cleanplate up --port 9000 --home ./cleanplate-home`
    """
    from cleanplate import embedded, logs
    from cleanplate.weights import find

    settings = embedded.settle(home=home, port=port)
    find(settings)  # what is missing is said here, once, and not by each process that cannot start
    logs.configure(settings)
    raise typer.Exit(embedded.run(settings))


def serve() -> None:
    """Run the HTTP API in the foreground, until SIGTERM.

    Example: `CLEANPLATE_HOST=0.0.0.0 CLEANPLATE_PORT=8080 cleanplate serve`
    """
    from api import server
    from cleanplate.settings import load_settings

    raise typer.Exit(server.run(load_settings()))


def worker() -> None:
    """Run workers in the foreground: one process for each CUDA device, or one on the CPU. SIGTERM lets them finish.

    Example: `CLEANPLATE_DEVICE=cuda cleanplate worker`
    """
    from cleanplate import logs
    from cleanplate.settings import load_settings
    from cleanplate.weights import find
    from workers import supervisor

    settings = load_settings()
    find(settings)
    logs.configure(settings)
    raise typer.Exit(supervisor.run(settings))


def dispatch() -> None:
    """Run the dispatcher, the lease reaper and webhook delivery in the foreground.

    Start as many as you like: one is active, the others take over when it dies.

    Example: `cleanplate dispatch`
    """
    from cleanplate import logs
    from cleanplate.settings import load_settings
    from workers import dispatcher

    settings = load_settings()
    logs.configure(settings)
    raise typer.Exit(dispatcher.run(settings))


def migrate(
    revision: Annotated[str, typer.Option(help="Schema revision to go to, up or down; `base` empties it.")] = "head",
) -> None:
    """Bring the ledger to the newest schema and make the bucket of the object store if it is missing.

    Safe to run again, and by several machines at once. Run it before the other processes of a new version.

    Example: `CLEANPLATE_DATABASE_URL=postgresql://user:password@db/cleanplate cleanplate migrate`
    """
    from cleanplate import logs
    from cleanplate.settings import load_settings
    from storage.blobs import S3Blobs, open_blobs
    from storage.migrate import migrate as migrate_ledger

    settings = load_settings()
    logs.configure(settings)
    migrate_ledger(settings.sqlalchemy_url, revision)
    blobs = open_blobs(settings)
    if revision == "head" and isinstance(blobs, S3Blobs):
        blobs.ensure_bucket()
    typer.echo(f"The ledger is at revision {revision}.")
