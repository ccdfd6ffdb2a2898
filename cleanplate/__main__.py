"""``python -m cleanplate`` is the command line."""

import sys
from pathlib import Path

# `python -m` puts the current folder first, where a file of another project may bear the name of a package in use.
if not sys.flags.safe_path and Path(sys.path[0]) != Path(__file__).parent.parent:
    del sys.path[0]

from cleanplate.cli import app

if __name__ == "__main__":
    app(prog_name="cleanplate")
