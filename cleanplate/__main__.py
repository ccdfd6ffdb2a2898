"""``python -m cleanplate`` is the command line."""

from cleanplate.cli import app

if __name__ == "__main__":
    app(prog_name="cleanplate")
