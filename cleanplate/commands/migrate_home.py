"""``migrate-home``: moves the embedded service's folder to Postgres and S3."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def migrate_home(
    home: Annotated[Path, typer.Argument(help="Folder of the embedded service, which must not be running.")],
) -> None:
    """Copy the ledger and the files of an embedded service to the servers that the settings name.

    Tenants, keys, jobs, templates and the audit log go along; images under way are queued again. Run `cleanplate
    migrate` first: the new ledger has to be empty. The folder stays as it is. A run that breaks off may be repeated.

    Example: `cleanplate migrate-home ~/.cleanplate`
    """
    from filelock import FileLock, Timeout

    from cleanplate.base.settings import load_settings
    from cleanplate.commands.keys import ledger
    from cleanplate.errors import HomeInUse, UsageError
    from storage.blobs import LocalBlobs, open_blobs
    from storage.database import Database
    from storage.migrate import migrate
    from storage.moving import copy_blobs, copy_ledger

    home = home.expanduser().absolute()
    if not (home / "ledger.sqlite3").is_file():
        raise UsageError(f"{home} is no folder of an embedded service: it has no ledger.sqlite3.")
    settings = load_settings()
    if not settings.database_url.get_secret_value() or not settings.blobs_url:
        raise UsageError("Set CLEANPLATE_DATABASE_URL and CLEANPLATE_BLOBS_URL to where everything is to go.")
    embedded = settings.model_copy(
        update={"home": home, "database_url": type(settings.database_url)(""), "blobs_url": ""}
    )
    try:
        with FileLock(home / "up.lock", timeout=0), ledger() as target:
            migrate(embedded.sqlalchemy_url)
            old_blobs = open_blobs(embedded)
            assert isinstance(old_blobs, LocalBlobs)
            source = Database.connect(embedded.sqlalchemy_url)
            try:
                files = copy_blobs(old_blobs, open_blobs(settings))
                rows = copy_ledger(source, target)
            finally:
                source.close()
    except Timeout:
        raise HomeInUse(home) from None
    typer.echo(f"{files} files; {', '.join(f'{count} {name}' for name, count in rows.items() if count)}.")
    typer.echo(f"Links and sessions go on with CLEANPLATE_SIGNING_KEY set to what is in {home / 'signing-key'}.")
