"""The audit log's commands."""

from __future__ import annotations

from typer.testing import CliRunner

from cleanplate.base.settings import Settings
from cleanplate.cli import app
from storage.database import Database
from storage.ledger.retention.deletion import delete_job
from storage.ledger.tenants.tenants import create_key, ensure_tenant
from tests.shop import Shop


def test_it_says_who_deleted_a_job(embedded_settings: Settings) -> None:
    settings = embedded_settings
    db = Database.connect(settings.sqlalchemy_url)
    shop = Shop(db, ensure_tenant(db, "shop"))
    key, _ = create_key(db, shop.tenant, "night batch")
    job, other = shop.submit(2), shop.submit(2)
    delete_job(db, shop.tenant, job.id, actor=f"key:{key.id}")
    db.close()
    environment = {"CLEANPLATE_HOME": str(settings.home)}
    ran = CliRunner().invoke(app, ["audit", "job", job.id], env=environment)
    assert ran.exit_code == 0, ran.output
    header, submitted, deleted = (line.split() for line in ran.output.splitlines())
    assert header[:3] == ["at", "action", "by"]
    assert submitted[1:3] == ["job.submitted", "service"]
    assert deleted[1:] == ["job.deleted", f"key:{key.id}", "night", "batch"]
    assert other.id not in ran.output
    missing = CliRunner().invoke(app, ["audit", "job", "job_0"], env=environment)
    assert missing.exit_code == 2
