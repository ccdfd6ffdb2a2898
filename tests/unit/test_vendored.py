"""Code of others in this repository is exactly what was published, and comes with its licence."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.running import REPOSITORY

FOLDERS = [REPOSITORY / "api" / "static" / "vendor", REPOSITORY / "tests" / "vendor"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.parent.name)
def test_vendored_files_are_those_listed_with_version_licence_and_hash(folder: Path) -> None:
    listed = {"VENDORED"}
    for line in (folder / "VENDORED").read_text().splitlines():
        if line.startswith("#"):
            continue
        _package, version, _licence, name, licence_file, digest = line.split()
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
        assert version[0].isdigit()
        assert len((folder / licence_file).read_text()) > 200
        listed |= {name, licence_file}
    assert {path.name for path in folder.iterdir()} - {"axe.LICENSE-3RD-PARTY"} == listed
