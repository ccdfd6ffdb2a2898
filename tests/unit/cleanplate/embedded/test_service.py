"""``cleanplate up`` as a person runs it: one folder, one key, and no leftover process."""

from __future__ import annotations

import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from cleanplate.base.loopback import local_url
from cleanplate.base.processes import CRASH_LOOP, Child
from cleanplate.base.reports import DeviceReport
from cleanplate.embedded.service import program_reports, require_start, settle
from cleanplate.errors import PortInUse, ProgramFailed
from tests import patient
from tests.running import Running, cleanplate, kill, processes_with, running, until

#: One API process and few threads, for a shared machine.
SMALL = {"CLEANPLATE_API_WORKERS": "1", "CLEANPLATE_API_THREADS": "2", "CLEANPLATE_TORCH_THREADS": "1"}


def address(up: Running, home: Path) -> str:
    """The address of the service, once it is ready."""

    def told() -> str:
        assert up.process.poll() is None, up.log
        path = home / "address"
        return path.read_text().strip() if path.exists() else ""

    return until(told, lambda: f"up was not ready:\n{up.log}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedded") / "home"


@dataclass
class Life:
    """What was seen of one run of the service: while it was ready, and after its end."""

    key: str
    link: str
    processes: int
    #: Statuses of signing in with the link of the life before, and with this one's.
    signed_in: list[int]
    #: Exit status; ``None``: killed.
    status: int | None = None
    left_processes: dict[int, str] = field(default_factory=dict)
    left_files: set[str] = field(default_factory=set)


@contextmanager
def life(home: Path, number: int, links: list[str]) -> Iterator[tuple[Running, Life]]:
    """A run of the service in the folder; ``links``: the secrets of links to sign in with before its own."""
    log_path = home.with_suffix(f".{number}.log")
    with running("up", "--port", "0", "--home", str(home), settings=SMALL, log_path=log_path) as service:
        url = address(service, home)
        secret = printed_link(service).partition("#")[2]
        key = (home / "api-key").read_text().strip()
        statuses = [sign_in(url, f"{url}/login/link#{one}") for one in (*links, secret)] if links else []
        yield service, Life(key, secret, len(processes_with(f"CLEANPLATE_HOME={home}")), statuses)


@pytest.fixture(scope="module")
def lives(home: Path) -> tuple[Life, Life]:
    """Two runs of the service before that of the other tests, in the same folder: one is stopped, the next killed."""
    mark = f"CLEANPLATE_HOME={home}"
    with life(home, 1, []) as (service, stopped):
        stopped.status = service.stop()
        stopped.left_processes = processes_with(mark)
        stopped.left_files = {path.name for path in home.iterdir()}
    with life(home, 2, [stopped.link]) as (service, killed):
        kill(service.process.pid)
        service.process.wait()
        until(lambda: not processes_with(mark), lambda: f"these outlived it: {processes_with(mark)}")
    return stopped, killed


@pytest.fixture(scope="module")
def up(home: Path, lives: tuple[Life, Life]) -> Iterator[Running]:
    log_path = home.with_suffix(".log")
    with running("up", "--port", "0", "--home", str(home), settings=SMALL, log_path=log_path) as service:
        # The file with the address is still there from the life that was killed.
        until(lambda: "is ready at" in service.log, lambda: f"up was not ready:\n{service.log}")
        yield service


def test_sigterm_stops_everything_and_the_key_stays_good(lives: tuple[Life, Life]) -> None:
    stopped, killed = lives
    assert (stopped.status, stopped.left_processes) == (0, {})
    assert stopped.processes > 3
    assert not {"address", "login-link.html"} & stopped.left_files
    assert stopped.key == killed.key


def test_a_link_of_before_a_restart_signs_nobody_in(lives: tuple[Life, Life]) -> None:
    assert lives[1].signed_in == [403, 303]


def test_after_an_up_that_was_killed_nothing_is_left_and_the_next_one_starts(
    lives: tuple[Life, Life], up: Running, home: Path
) -> None:
    """``lives`` has seen that nothing outlived it."""
    assert up.process.poll() is None
    assert (home / "api-key").read_text().strip() == lives[1].key


def test_home_and_key_are_for_their_owner_alone(up: Running, home: Path) -> None:
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "api-key").stat().st_mode) == 0o600


def test_no_link_is_made_where_no_service_runs(tmp_path: Path) -> None:
    stopped = cleanplate("link", "--home", str(tmp_path), settings={})
    assert stopped.returncode == 2
    assert "No service runs in" in stopped.stderr


def test_the_key_of_the_first_start_opens_the_service(up: Running, home: Path) -> None:
    url, key = address(up, home), (home / "api-key").read_text().strip()
    assert patient.get(f"{url}/v1/jobs", headers={"Authorization": f"Bearer {key}"}).json()["data"] == []
    assert patient.get(f"{url}/v1/jobs").status_code == 401
    assert key not in up.log


@pytest.mark.parametrize("path", ["/", "/admin", "/admin/live", "/jobs", "/jobs/new"])
def test_nobody_is_let_in_for_coming_from_this_machine(up: Running, home: Path, path: str) -> None:
    """A proxy with a bare ``proxy_pass`` sends its own Host and no forwarding header: every request looks local."""
    url = address(up, home)
    answer = patient.get(f"{url}{path}")
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (302, "/login")
    assert patient.get(f"{url}/login").status_code == 200
    for closed in ("/v1/jobs", "/v1/devices", "/session"):
        assert patient.get(f"{url}{closed}").status_code == 401
    forged = httpx.post(f"{url}/admin/keys", data={"name": "mine", "scope": "admin"}, timeout=60)
    assert (forged.status_code, forged.headers["location"].partition("?")[0]) == (302, "/login")


def sign_in(url: str, link: str) -> int:
    """Sign in with a link as a browser does; the status of the answer."""
    page, _, secret = link.partition("#")
    assert page == f"{url}/login/link"
    with patient.client() as browser:
        token = browser.get(page).text.partition('name="csrf-token" content="')[2].partition('"')[0]
        answer = browser.post(page, data={"csrf_token": token, "link": secret})
        if answer.status_code == 303:
            assert browser.get(f"{url}/admin").status_code == 200
        return answer.status_code


def printed_link(up: Running) -> str:
    """The last link that ``up`` has printed."""
    return re.findall(r"http\S+/login/link#\S+", up.log)[-1]


def test_the_printed_link_signs_in_once_and_another_is_a_command_away(up: Running, home: Path) -> None:
    url, link = address(up, home), printed_link(up)
    assert [sign_in(url, link) for _ in range(2)] == [303, 403]
    made = cleanplate("link", settings={"CLEANPLATE_HOME": str(home)})
    assert made.returncode == 0, made.stderr
    page = home / "login-link.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert made.stdout.strip() in page.read_text()
    assert sign_in(url, made.stdout.strip()) == 303


def test_the_command_line_finds_the_service_by_its_home(up: Running, home: Path) -> None:
    listed = cleanplate("jobs", settings={"CLEANPLATE_HOME": str(home)})
    assert listed.returncode == 0, listed.stderr
    missing = cleanplate(
        "jobs", "show", "job_00000000000000000000000000000000", settings={"CLEANPLATE_HOME": str(home)}
    )
    assert missing.returncode == 2
    assert "not_found" in missing.stderr


def test_a_second_up_on_the_same_home_is_refused(up: Running, home: Path) -> None:
    second = cleanplate("up", "--port", "0", "--home", str(home), settings=SMALL)
    assert second.returncode == 2
    assert f"already runs on {home}" in second.stderr
    assert patient.get(f"{address(up, home)}/readyz").is_success


def test_a_port_in_use_is_refused(up: Running, home: Path, tmp_path: Path) -> None:
    port = address(up, home).rsplit(":", 1)[1]
    second = cleanplate("up", "--port", port, "--home", str(tmp_path / "other"), settings=SMALL)
    assert second.returncode == 2
    assert f"Port {port} of 127.0.0.1 is in use" in second.stderr
    assert not (tmp_path / "other").exists()


def test_a_program_that_dies_is_started_again_and_said_loudly(up: Running, home: Path) -> None:
    mark = f"CLEANPLATE_HOME={home}"
    dispatchers = [pid for pid, command in processes_with(mark).items() if command.endswith("cleanplate dispatch")]
    assert len(dispatchers) == 1
    kill(dispatchers[0])

    def replaced() -> bool:
        now = [pid for pid, command in processes_with(mark).items() if command.endswith("cleanplate dispatch")]
        return len(now) == 1 and now != dispatchers

    until(replaced, lambda: f"dispatch was not started again:\n{up.log}")
    assert "process.died" in up.log


def test_up_ends_with_the_error_of_a_worker_that_cannot_start(tmp_path: Path) -> None:
    weights = tmp_path / "broken.safetensors"
    weights.write_bytes(b"no weights")
    home = tmp_path / "home"
    ended = cleanplate("up", "--port", "0", "--home", str(home), settings=SMALL | {"CLEANPLATE_WEIGHTS": str(weights)})
    assert ended.returncode == 2
    assert "is ready at" not in ended.stdout
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("cleanplate: The program worker cannot start: cpu: ")
    assert "broken.safetensors" in last
    assert processes_with(f"CLEANPLATE_HOME={home}") == {}


def report(**fields: Any) -> DeviceReport:
    return DeviceReport(device="cpu", host="here", told_at=0.0, **fields)


@pytest.mark.parametrize(
    ("programs", "reports", "reason"),
    [
        ([Child("serve", [])], [report(state="starting")], None),
        ([Child("serve", [], deaths=1, last_status=-9)], [report(state="working")], None),
        ([Child("dispatch", [], deaths=1, last_status=2)], [], "dispatch cannot start: its error is printed above"),
        ([Child("serve", [], deaths=9, deaths_in_a_row=9, last_status=1)], [], "serve cannot start: it keeps dying"),
        ([], [report(state="waiting", reason="no_device: There is none.")], "worker cannot start: cpu: no_device: "),
    ],
)
def test_a_program_that_cannot_start_ends_the_start(
    programs: list[Child], reports: list[DeviceReport], reason: str | None
) -> None:
    with pytest.raises(ProgramFailed, match=reason) if reason else nullcontext():
        require_start(programs, reports)


@pytest.mark.parametrize(("deaths_in_a_row", "state"), [(1, "waiting"), (CRASH_LOOP, "crash_loop")])
def test_a_program_that_does_not_run_is_reported_with_the_next_step(deaths_in_a_row: int, state: str) -> None:
    (made,) = program_reports([Child("dispatch", [], deaths=6, deaths_in_a_row=deaths_in_a_row, last_status=-9)])
    assert (made.device, made.state, made.deaths) == ("dispatch", state, 6)
    assert made.reason == (
        "dispatch_down: The program dispatch has ended 6 times, last with the status -9. The output of `cleanplate up` "
        "has its error; `cleanplate doctor` checks what it needs."
    )


def test_a_folder_of_other_things_that_others_can_read_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "pictures"
    home.mkdir(mode=0o755)
    (home / "a.png").write_bytes(b"")
    refused = cleanplate("up", "--port", "0", "--home", str(home), settings=SMALL)
    assert refused.returncode == 2
    assert "other users can read it" in refused.stderr
    assert stat.S_IMODE(home.stat().st_mode) == 0o755


def test_links_lead_to_the_port_unless_an_address_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CLEANPLATE_PUBLIC_URL", raising=False)
    settings = settle(home=tmp_path, port=0)
    assert settings.public_url == f"http://127.0.0.1:{settings.port}"
    monkeypatch.setenv("CLEANPLATE_PUBLIC_URL", "https://clean.example")
    assert settle(home=tmp_path, port=0).public_url == "https://clean.example"


def test_an_address_for_all_interfaces_is_reached_over_loopback() -> None:
    assert local_url("0.0.0.0", 1) == "http://127.0.0.1:1"
    assert local_url("::", 1) == "http://[::1]:1"
    assert local_url("10.0.0.5", 1) == "http://10.0.0.5:1"


def test_a_port_that_is_listened_on_is_found_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortInUse):
        settle(home=tmp_path, port=taken.getsockname()[1])
