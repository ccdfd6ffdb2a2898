"""The service imports no file of the current folder, even in a project whose files have the names of its modules."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from tests.catalogue import bar_mask, picture, png
from tests.embedded import SMALL
from tests.running import CONSOLE_SCRIPT, cleanplate, running, until
from tests.servers import free_port

#: A decoy records that it was imported; it imports nothing itself.
DECOY = "open(__file__ + '.imported', 'w').close()\n"
#: Variables that a project exports for its own Celery and Django, in the same terminal.
FOREIGN = {
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "CELERY_CONFIG_MODULE": "shop_celery",
    "CELERY_LOADER": "shop_loader",
    "CELERY_CUSTOM_WORKER_POOL": "shop_pool:Pool",
    "DJANGO_SETTINGS_MODULE": "shop_settings",
    "APP": "shop_app",
    "BROKER_URL": "redis://127.0.0.1:1/0",
    "CONFIG_MODULE": "shop_config",
    "LOADER": "shop_loader",
}
SHOP_MODULES = ("shop_app", "shop_celery", "shop_config", "shop_loader", "shop_pool", "shop_settings")


@pytest.fixture
def decoys(tmp_path: Path) -> Path:
    """A project's folder with a decoy for each module of Python, of the installed packages and of the service."""
    folder = tmp_path / "shop"
    folder.mkdir()
    own = ("api", "cleanplate", "migrations", "model", "storage", "workers")
    packages = (name for name in importlib.metadata.packages_distributions() if name.isidentifier())
    for name in {*sys.stdlib_module_names, *packages, *SHOP_MODULES} - set(own):
        (folder / f"{name}.py").write_text(DECOY)
    for name in own:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(DECOY)
    return folder


def imported(folder: Path) -> list[str]:
    """The decoys that were imported."""
    return sorted(path.name for path in folder.rglob("*.imported"))


def test_up_and_a_job_import_nothing_from_the_current_folder(decoys: Path, tmp_path: Path) -> None:
    pictures, out, home = tmp_path / "pictures", tmp_path / "out", tmp_path / "home"
    pictures.mkdir()
    (pictures / "one.png").write_bytes(png(picture()))
    (tmp_path / "mask.png").write_bytes(png(bar_mask()))
    settings = SMALL | FOREIGN | {"CLEANPLATE_HOME": str(home), "CLEANPLATE_PORT": str(free_port())}
    with running(
        "up", settings=settings, log_path=tmp_path / "up.log", program=CONSOLE_SCRIPT, folder=decoys
    ) as service:

        def is_ready() -> bool:
            assert service.process.poll() is None, service.log
            return (home / "address").exists()

        until(is_ready, lambda: f"up was not ready; imported: {imported(decoys)}\n{service.log[-6000:]}")
        submitted = cleanplate(
            "submit", str(pictures), "--mask", str(tmp_path / "mask.png"), "--out", str(out), "--rights-basis", "owner",
            "--attested-by", "Jo Doe", "--rights-reference", "own photographs",
            settings=settings, program=CONSOLE_SCRIPT, folder=decoys,
        )  # fmt: skip
        assert submitted.returncode == 0, f"{submitted.stderr}\n{service.log[-6000:]}"
    assert (out / "one.png").exists()
    assert imported(decoys) == []


def test_the_command_line_as_a_module_imports_nothing_from_the_current_folder(decoys: Path) -> None:
    # Python imports its own modules before the command line can correct the path.
    for name in sys.stdlib_module_names:
        (decoys / f"{name}.py").unlink(missing_ok=True)
    program = [sys.executable, "-m", "cleanplate"]
    (decoys / "cleanplate" / "__init__.py").unlink()
    (decoys / "cleanplate").rmdir()
    shown = cleanplate("settings", settings={}, program=program, folder=decoys)
    assert shown.returncode == 0, shown.stderr
    assert imported(decoys) == []
