"""``cleanplate doctor`` finds what cannot work on this machine, and says what to do next."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from cleanplate.base.settings import Settings
from cleanplate.commands import doctor
from cleanplate.commands.doctor import disk_finding, driver_finding, jpeg_finding, python_finding, texture_finding
from tests.ports import free_port
from tests.running import cleanplate


def rows(*words: str, settings: dict[str, str], status: int) -> dict[str, tuple[str, str]]:
    """Level and rest of each line, by subject."""
    ended = cleanplate("doctor", *words, settings=settings)
    assert ended.returncode == status, f"{ended.stdout}\n{ended.stderr}"
    lines = [line.split("  ") for line in ended.stdout.splitlines()[1:]]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {subject: (level, " ".join(rest)) for level, subject, *rest in cells}


def test_a_machine_without_a_service_is_told_how_to_start_one(tmp_path: Path) -> None:
    found = rows(settings={"CLEANPLATE_HOME": str(tmp_path / "home"), "CLEANPLATE_DEVICE": "cpu"}, status=0)
    assert {found[f"extra {extra}"][0] for extra in doctor.EXTRAS} == {"ok"}
    assert found["weights"] == ("ok", "cleanplate-small, in the package")
    assert found["device"][1].startswith("the CPU")
    assert found["servers"][0] == "note" and "`cleanplate up` makes one" in found["servers"][1]
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_service_is_looked_for_where_its_settings_put_it(tmp_path: Path, host: str) -> None:
    port = free_port()
    settings = {"CLEANPLATE_HOME": str(tmp_path / "home"), "CLEANPLATE_DEVICE": "cpu", "CLEANPLATE_PORT": str(port)}
    level, text = rows(settings=settings | {"CLEANPLATE_HOST": host}, status=0)["service"]
    assert level == "note" and f"no answer from http://127.0.0.1:{port} " in text


def test_servers_are_asked_and_each_fault_is_a_line(server_settings: Settings) -> None:
    broken = server_settings.model_copy(
        update={"blobs_url": "s3://not-there", "broker_url": SecretStr("redis://127.0.0.1:9/0"), "weights": "big-lama"}
    )
    found = rows(settings=broken.environment() | {"CLEANPLATE_URL": "http://127.0.0.1:9"}, status=1)
    assert found["ledger"] == ("ok", "answers")
    faults = {subject for subject, (level, _) in found.items() if level == "fault"}
    assert faults == {"object store", "queue", "weights", "service"}
    assert "cleanplate weights pull big-lama" in found["weights"][1]
    assert "the bucket does not exist" in found["object store"][1]


def test_a_wrong_setting_is_a_fault(tmp_path: Path) -> None:
    found = rows(settings={"CLEANPLATE_HOEM": str(tmp_path)}, status=1)
    assert found["CLEANPLATE_HOEM"][0] == "fault"
    assert "did you mean CLEANPLATE_HOME?" in found["CLEANPLATE_HOEM"][1]


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (python_finding((3, 11)), "ok"),
        (python_finding((3, 14)), "ok"),
        (python_finding((3, 15)), "note"),
        (jpeg_finding(in_memory=True), "ok"),
        (jpeg_finding(in_memory=False), "note"),
        (texture_finding(built=True), "ok"),
        (texture_finding(built=False), "note"),
        (disk_finding(Path("/home"), 1000), "fault"),
        (disk_finding(Path("/home"), 2 << 30), "note"),
        (disk_finding(Path("/home"), 1 << 40), "ok"),
        (driver_finding("570.1", (12, 8), "13.0"), "fault"),
        (driver_finding("580.1", (13, 0), "13.2"), "ok"),
        (driver_finding("580.1", (13, 0), "12.6"), "ok"),
    ],
)
def test_a_finding_has_its_level_and_a_step_unless_all_is_well(finding: doctor.Finding, level: str) -> None:
    assert finding.level == level
    assert bool(finding.step) == (level != "ok")
