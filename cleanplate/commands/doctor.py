"""``doctor``: what is installed and reachable on this machine, and the next step where something is missing."""

from __future__ import annotations

import platform
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    from cleanplate.base.settings import Settings

#: Versions of Python that the tests have run on.
OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 14)
EXTRAS = ("ledger", "service", "worker", "text", "webhooks", "tracing")
#: Packages whose versions a report of a fault needs.
PACKAGES = ("torch", "numpy", "pillow", "sqlalchemy", "celery", "flask", "httpx")
#: Free bytes in the home folder, below which a job fails soon.
LEAST_FREE, LITTLE_FREE = 1 << 30, 10 << 30
ANSWER_S = 5.0


@dataclass(frozen=True)
class Finding:
    """One line: ``ok``, ``note`` (only some uses need it) or ``fault`` (what is set up here does not work)."""

    level: Literal["ok", "note", "fault"]
    subject: str
    text: str
    #: What to do about it.
    step: str = ""


def doctor() -> None:
    """Check this machine: Python, packages and extras, settings, devices and driver, weights, servers, free disk.

    Each line says what was found and, where something is missing, the next step. Exit status 1 if what is set up here
    cannot work.

    Example: `cleanplate doctor`
    """
    from cleanplate.terminal.tables import print_table

    findings = list(examine())
    print_table(
        ("", "subject", "found", "next step"),
        ((finding.level, finding.subject, finding.text, finding.step) for finding in findings),
    )
    if any(finding.level == "fault" for finding in findings):
        raise typer.Exit(1)


def examine() -> Iterator[Finding]:
    """All findings, in the order in which a reader can act on them."""
    from cleanplate.base.extras import missing_extras
    from cleanplate.base.settings import InvalidSettings, load_settings

    yield python_finding(sys.version_info[:2])
    yield Finding("ok", "packages", _versions())
    missing = missing_extras(EXTRAS)
    for extra in EXTRAS:
        if extra in missing:
            yield Finding("note", f"extra {extra}", "not installed", f"pip install 'cleanplate[{extra}]'")
        else:
            yield Finding("ok", f"extra {extra}", "installed")
    try:
        settings = load_settings()
    except InvalidSettings as error:
        for line in str(error).splitlines():
            variable, _, sentence = line.partition(": ")
            yield Finding("fault", variable, sentence, "`cleanplate settings` lists all settings")
        return
    yield Finding("ok", "settings", "no contradiction, no unknown variable")
    yield disk_finding(settings.home, shutil.disk_usage(_existing(settings.home)).free)
    if "worker" not in missing:
        yield from _device_findings(settings)
        yield from _weights_finding(settings)
        yield _jpeg_finding()
        yield _texture_finding()
    if "ledger" not in missing:
        yield from _server_findings(settings)
    yield from _service_finding()


def python_finding(running: tuple[int, int]) -> Finding:
    """Whether the tests have run on this Python."""
    text = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    if OLDEST_PYTHON <= running <= NEWEST_PYTHON:
        return Finding("ok", "python", text)
    return Finding("note", "python", text, "use Python 3.11 to 3.14: every dependency has wheels for these")


def disk_finding(home: Path, free: int) -> Finding:
    """Whether the home folder's disk has room for pictures and results."""
    text = f"{free / (1 << 30):.1f} GiB free for {home}"
    if free < LEAST_FREE:
        return Finding("fault", "disk", text, "free some space, or set CLEANPLATE_HOME to another disk")
    if free < LITTLE_FREE:
        return Finding("note", "disk", text, "a catalogue may need more: set CLEANPLATE_HOME to another disk")
    return Finding("ok", "disk", text)


def _versions() -> str:
    found = [f"cleanplate {version('cleanplate')} in {Path(__file__).parents[1]}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue  # its extra is reported
    return ", ".join(found)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.expanduser().absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


def _device_findings(settings: Settings) -> Iterator[Finding]:
    from workers.errors import WorkerError
    from workers.machine.devices import devices, driver

    build, nvidia = cuda_of_torch(), driver()
    try:
        present = devices(settings)
    except WorkerError as error:
        yield Finding("fault", "device", str(error), "or set CLEANPLATE_DEVICE=cpu")
        return
    names = ", ".join(device.name for device in present)
    if present[0].uuid is None:
        step = "" if build is None else "a build of PyTorch for the CPU is smaller by several GB: see README.md"
        yield Finding("ok", "device", "the CPU", step)
    elif build is None:
        step = "install a build of PyTorch with CUDA, or set CLEANPLATE_DEVICE=cpu"
        yield Finding("fault", "device", f"{names}, but this PyTorch is built for the CPU", step)
    else:
        yield Finding("ok", "device", f"{names}; PyTorch is built for CUDA {build}")
    if nvidia is not None and build is not None:
        yield driver_finding(nvidia.version, nvidia.cuda, build)


def driver_finding(name: str, supported: tuple[int, int], build: str) -> Finding:
    """Whether NVIDIA's driver runs the CUDA that PyTorch brings: the same major version, or a newer one."""
    text = f"NVIDIA {name}, for CUDA up to {supported[0]}.{supported[1]}"
    if supported[0] < int(build.partition(".")[0]):
        return Finding("fault", "driver", text, f"PyTorch brings CUDA {build}: install a newer driver")
    return Finding("ok", "driver", text)


def cuda_of_torch() -> str | None:
    """The CUDA version that the installed PyTorch was built with; ``None``: none. Does not import PyTorch."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    build: str | None = runpy.run_path(str(Path(spec.origin).with_name("version.py")))["cuda"]
    return build


def _weights_finding(settings: Settings) -> Iterator[Finding]:
    from cleanplate.base.weights import SHIPPED, find
    from cleanplate.errors import WeightsMissing

    try:
        yield Finding("ok", "weights", str(find(settings) or f"{SHIPPED}, in the package"))
    except WeightsMissing as error:
        yield Finding("fault", "weights", str(error), "`cleanplate weights list` shows what there is")


def _jpeg_finding() -> Finding:
    from model.imaging.formats.coefficients import IN_MEMORY

    return jpeg_finding(in_memory=IN_MEMORY)


def jpeg_finding(*, in_memory: bool) -> Finding:
    """Whether the package's extension for JPEGs was built when it was installed."""
    if in_memory:
        return Finding("ok", "JPEG", "edited in memory, in all threads at once")
    step = "install gcc and libjpeg's headers, then the package again from its source: see README.md"
    return Finding("note", "JPEG", "edited by jpeglib, about a dozen pictures a second in a process", step)


def _texture_finding() -> Finding:
    from model.repair.texture import IS_BUILT

    return texture_finding(built=IS_BUILT)


def texture_finding(*, built: bool) -> Finding:
    """Whether the package's extension for copied texture was built when it was installed."""
    if built:
        return Finding("ok", "texture", "fills get the picture's own fine detail")
    step = "install gcc, then the package again from its source: see README.md"
    return Finding("note", "texture", "fills stay as soft as the network leaves them", step)


def _server_findings(settings: Settings) -> Iterator[Finding]:
    from workers.errors import ServerRefuses
    from workers.shared.servers import require_blobs, require_ledger, require_queue

    embedded = not (
        settings.database_url.get_secret_value() or settings.blobs_url or settings.broker_url.get_secret_value()
    )
    if embedded and not (settings.home.expanduser() / "ledger.sqlite3").exists():
        yield Finding("note", "servers", f"none: {settings.home} holds no service yet", "`cleanplate up` makes one")
        return
    checks: tuple[tuple[str, Callable[..., None]], ...] = (
        ("ledger", require_ledger), ("object store", require_blobs), ("queue", require_queue)
    )  # fmt: skip
    for subject, require in checks:
        try:
            require(settings, wait_s=0)
        except ServerRefuses as error:
            yield Finding("fault", subject, str(error))
        else:
            yield Finding("ok", subject, "answers")


def _service_finding() -> Iterator[Finding]:
    """The service that the client's commands talk to."""
    import httpx

    from cleanplate.terminal.connection import stated_url

    url, stated = stated_url()
    try:
        answer = httpx.get(f"{url}/readyz", timeout=ANSWER_S)
    except httpx.HTTPError as error:
        step = "is it running, and is CLEANPLATE_URL right?" if stated else "`cleanplate up` starts one"
        yield Finding("fault" if stated else "note", "service", f"no answer from {url} ({error})", step)
        return
    if answer.is_success and not answer.json().get("workers"):
        yield Finding("note", "service", f"{url} is ready without a worker", "start one: `cleanplate worker`")
    elif answer.is_success:
        yield Finding("ok", "service", f"{url} is ready")
    else:
        yield Finding(
            "fault", "service", f"{url}/readyz answers {answer.status_code}", "its detail says what is missing"
        )
