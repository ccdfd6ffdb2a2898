"""Tables as commands print them: fitted to a terminal, one line for each row anywhere else (for grep and scripts)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 500
#: Columns of ids and names to copy, with their width in characters.
WHOLE = {"id": 36, "variable": 34}


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their headings. No cell is cut off, and ids are not broken over lines."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        whole = heading in WHOLE
        table.add_column(heading, no_wrap=whole, min_width=WHOLE[heading] if whole else None, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # a name in brackets is no markup
    console = Console()
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)


def minute(time: datetime | None) -> str:
    """A time as tables show it; empty for ``None``."""
    return f"{time:%Y-%m-%d %H:%M}" if time else ""
