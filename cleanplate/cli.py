"""The command line. Each command lives in ``commands/`` and imports what it needs when it runs: help must be quick.

Errors that the project raises on purpose become one line on standard error and exit status 2; anything else is a bug
and keeps its traceback.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from cleanplate.commands import (
    audit,
    demo,
    health,
    inpaint,
    jobs,
    keys,
    pauses,
    reconcile,
    service,
    settings,
    template,
    tenants,
    train,
    weights,
)

#: What a machine without a worker may do without.
WORKER_PACKAGES = frozenset({"torch", "safetensors", "cv2", "scipy"})


def expected() -> tuple[type[Exception], ...]:
    """The roots of the packages' error trees."""
    from cleanplate.base.settings import InvalidSettings
    from cleanplate.errors import CleanplateError
    from model.errors import ModelError
    from storage.errors import StorageError
    from workers.errors import WorkerError

    return CleanplateError, InvalidSettings, ModelError, StorageError, WorkerError


class OneLineErrors(TyperGroup):
    """The root command; it turns expected errors into sentences."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if error.name not in WORKER_PACKAGES:
                raise
            typer.echo(f"cleanplate: {error.name} is not installed: pip install 'cleanplate[worker]'", err=True)
            raise typer.Exit(2) from None
        except Exception as error:
            if not isinstance(error, expected()):
                raise
            for line in str(error).splitlines():
                typer.echo(f"cleanplate: {line}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    name="cleanplate",
    cls=OneLineErrors,
    help="Removes watermarks from whole product catalogues, for the people who own the pictures.\n\n"
    "Begin with `cleanplate up`, then `cleanplate submit FOLDER --mask MASK --out FOLDER` in another terminal.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)

app.command()(service.up)
app.command()(jobs.submit)
app.command()(jobs.watch)
app.command()(jobs.approve)
app.command(name="jobs")(jobs.jobs)
app.command()(inpaint.inpaint)
app.command()(demo.demo)
app.command()(service.serve)
app.command()(service.worker)
app.command()(service.dispatch)
app.command()(service.migrate)
app.command()(health.healthy)
app.command()(train.train)
app.command()(pauses.pause)
app.command()(pauses.resume)
app.command()(reconcile.reconcile)
app.add_typer(keys.app, name="keys")
app.add_typer(weights.app, name="weights")
app.add_typer(template.app, name="template")
app.add_typer(tenants.app, name="tenants")
app.add_typer(audit.app, name="audit")
app.command(name="settings")(settings.settings)
