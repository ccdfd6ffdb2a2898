"""Checks the extras that a command needs beside a plain install."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from cleanplate.base.extras import missing_extras
from cleanplate.errors import ExtraMissing


def needs(*extras: str) -> type[TyperCommand]:
    """The class of commands that need ``extras``: without them a command raises ExtraMissing, and its help works."""

    class Command(TyperCommand):
        def invoke(self, ctx: Any) -> Any:
            missing = missing_extras(extras)
            if missing:
                raise ExtraMissing(f"`{ctx.command_path}`", missing)
            return super().invoke(ctx)

    return Command
