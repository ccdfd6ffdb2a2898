"""A user's first steps with an installed wheel: a picture without a service, then a job through ``cleanplate up``.

``rehearse.py`` runs it in a Debian root where nothing of the repository is installed, so it needs the standard library
alone: ``python -P first_steps.py SAMPLES``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = Path(sys.executable).with_name("cleanplate")
READY_WITHIN_S = 600


def tell(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


def cleanplate(*words: str | Path) -> None:
    """Run a command whose failure ends the steps."""
    subprocess.run([COMMAND, *map(str, words)], check=True)


def main(samples: Path) -> None:
    folder = Path(tempfile.mkdtemp())
    home, pictures, results = folder / "home", folder / "pictures", folder / "results"
    os.environ |= {"CLEANPLATE_HOME": str(home), "CLEANPLATE_DEVICE": "cpu", "CLEANPLATE_LOG_JSON": "false"}
    sample = min((samples / "marked").iterdir())
    mask = samples / "masks" / sample.name
    cleanplate("--version")

    repaired = folder / f"repaired{sample.suffix}"
    cleanplate("inpaint", sample, mask, "-o", repaired)
    assert repaired.read_bytes() != sample.read_bytes()
    tell("inpaint: one picture is repaired")

    pictures.mkdir()
    (pictures / sample.name).write_bytes(sample.read_bytes())
    with subprocess.Popen([COMMAND, "up", "--port", "0", "--no-browser"]) as up:
        try:
            deadline = time.monotonic() + READY_WITHIN_S
            while not (home / "address").exists():
                assert up.poll() is None, f"up ended with {up.returncode}"
                assert time.monotonic() < deadline, "up was not ready in time"
                time.sleep(0.2)
            cleanplate(
                "submit", pictures, "--mask", mask, "--out", results,
                "--rights-basis", "licensee", "--attested-by", "Jo Doe", "--rights-reference", "CC0",
            )  # fmt: skip
            assert (results / sample.name).read_bytes() != sample.read_bytes()
            tell("up: a job's picture is repaired")
            cleanplate("doctor")
        finally:
            up.terminate()
    assert up.returncode == 0, f"up ended with {up.returncode}"
    tell("up: stopped in good order")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
