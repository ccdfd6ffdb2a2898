"""The command line. Each command lives in ``commands/`` and imports what it needs when it runs: help must be quick.

Errors of the project become one line on standard error and exit status 2; any other exception is a bug and keeps its
traceback.
"""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cleanplate.commands import (
    audit,
    demo,
    doctor,
    download,
    health,
    inpaint,
    keys,
    migrate_home,
    pauses,
    reconcile,
    service,
    settings,
    submit,
    sync,
    template,
    tenant_jobs,
    tenants,
    train,
    usage,
    weights,
)
from cleanplate.commands.extras import needs


def expected_errors() -> tuple[type[Exception], ...]:
    """The roots of the packages' error trees."""
    from cleanplate.base.settings import InvalidSettings
    from cleanplate.errors import CleanplateError
    from model.errors import ModelError
    from storage.errors import StorageError
    from workers.errors import WorkerError

    return CleanplateError, InvalidSettings, ModelError, StorageError, WorkerError


class OneLineErrors(TyperGroup):
    """The root command; it prints expected errors as one line."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if not isinstance(error, expected_errors()):
                raise
            for line in str(error).splitlines():
                typer.echo(f"cleanplate: {line}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    name="cleanplate",
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(wanted: bool) -> None:
    """Print the version of the installed package and end."""
    if wanted:
        typer.echo(f"cleanplate {installed_version('cleanplate')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Removes watermarks from whole product catalogues, for the people who own the pictures.

    Begin with `cleanplate up`, then `cleanplate submit FOLDER --mask MASK --out FOLDER` in another terminal.
    """


app.command(cls=needs("service", "worker"))(service.up)
app.command(cls=needs("service"))(service.link)
app.command()(submit.submit)
app.command()(submit.watch)
app.command()(download.download)
app.command()(sync.sync)
app.command()(submit.approve)
app.add_typer(tenant_jobs.app, name="jobs")
app.command()(usage.usage)
app.command(cls=needs("worker"))(inpaint.inpaint)
app.command(cls=needs("service", "worker"))(demo.demo)
app.command(cls=needs("service"))(service.serve)
app.command(cls=needs("worker"))(service.worker)
app.command(cls=needs("service"))(service.dispatch)
app.command(cls=needs("ledger"))(service.migrate)
app.command(name="migrate-home", cls=needs("ledger"))(migrate_home.migrate_home)
app.command(cls=needs("ledger"))(health.healthy)
app.command(cls=needs("worker"))(train.train)
app.command(cls=needs("ledger"))(pauses.pause)
app.command(cls=needs("ledger"))(pauses.resume)
app.command(cls=needs("ledger"))(reconcile.reconcile)
app.add_typer(keys.app, name="keys")
app.add_typer(weights.app, name="weights")
app.add_typer(template.app, name="template")
app.add_typer(tenants.app, name="tenants")
app.add_typer(audit.app, name="audit")
app.command(name="settings")(settings.settings)
app.command()(doctor.doctor)
