"""Spans: nothing while tracing is off, one tree over contexts that are text, and no error's words."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cleanplate.telemetry import tracing
from tests.running import REPOSITORY

OFF = """
import sys
import api.app, api.server, workers.leader.dispatcher, workers.device.resources, workers.device.images.pipeline
from cleanplate.telemetry import tracing
from cleanplate.base.settings import Settings
tracing.configure(Settings(), "worker")
with tracing.span("job.submit", None, images=1) as span:
    assert span.context is None and not tracing.on()
tracing.close()
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    try:
        yield exporter
    finally:
        tracing.close()


def test_nothing_is_imported_while_it_is_off() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", OFF], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120
    )
    assert ran.stdout.strip() == "[]"


def test_a_context_is_text_that_makes_children(exported: InMemorySpanExporter) -> None:
    with tracing.span("job.submit", None, images=3) as root:
        assert root.context is not None
    with tracing.span("image", root.context, image="img_1"):
        pass
    first, second = exported.get_finished_spans()
    assert first.parent is None
    assert second.parent is not None
    assert (second.parent.span_id, second.context.trace_id) == (first.context.span_id, first.context.trace_id)
    assert dict(second.attributes or {}) == {"cleanplate.image": "img_1"}


@pytest.mark.parametrize("parent", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_an_invalid_context_begins_a_new_trace(exported: InMemorySpanExporter, parent: str) -> None:
    with tracing.span("job.submit", parent):
        pass
    [span] = exported.get_finished_spans()
    assert span.parent is None


def test_an_error_is_told_by_its_name_alone(exported: InMemorySpanExporter) -> None:
    with pytest.raises(OSError, match="secret"), tracing.span("image.store", None):
        raise OSError("https://s3.example/a?X-Amz-Signature=secret")
    [span] = exported.get_finished_spans()
    assert span.status.description == "OSError"
    assert "secret" not in span.to_json()
