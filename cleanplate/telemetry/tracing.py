"""OpenTelemetry spans from a job's submission to its webhooks, in one trace over all processes; off by default.

A trace's context is text (W3C ``traceparent``). The ledger keeps it with the job, and every later process passes it as
the parent. While ``CLEANPLATE_TRACING`` is off, OpenTelemetry is not imported, spans do nothing, and contexts are
``None``. Attributes are ids, counts and codes: no address, no name, no secret.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cleanplate.base.settings import InvalidSettings, Settings

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

#: An ``Attribute`` of a span.
Attribute = str | int | float | bool

_provider: TracerProvider | None = None


class Span:
    """An open span, or no span while tracing is off. Usable from any thread."""

    def __init__(self, inner: trace.Span | None = None) -> None:
        self._inner = inner

    @property
    def context(self) -> str | None:
        """The parent for its children."""
        if self._inner is None:
            return None
        at = self._inner.get_span_context()
        return f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"

    def tell(self, **attributes: Attribute) -> None:
        """Add attributes."""
        if self._inner is not None:
            self._inner.set_attributes({f"cleanplate.{name}": value for name, value in attributes.items()})

    def end(self, failed: str = "") -> None:
        """End the span, once; ``failed`` is the name of an error."""
        if self._inner is None:
            return
        if failed:
            from opentelemetry.trace import StatusCode

            # The name alone: an error's text may repeat an address.
            self._inner.set_status(StatusCode.ERROR, failed)
        self._inner.end()


def configure(settings: Settings, service: str) -> None:
    """Start to export if the settings say so, by the standard ``OTEL_…`` variables. Call it after a fork.

    Raises:
        InvalidSettings: tracing is on and its packages are not installed.
    """
    if not settings.tracing:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise InvalidSettings(
            "CLEANPLATE_TRACING: needs the packages of `pip install 'cleanplate[tracing]'`"
        ) from error
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": f"cleanplate-{service}"}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider)


def use(provider: TracerProvider | None) -> None:
    """Send spans to this provider from now on; ``None``: drop them."""
    global _provider  # noqa: PLW0603 - one per process
    _provider = provider


def close() -> None:
    """Send the remaining spans and stop."""
    if _provider is not None:
        _provider.shutdown()
        use(None)


def on() -> bool:
    """Whether spans are made; while they are not, no context has to be read from the ledger."""
    return _provider is not None


def begin(name: str, parent: str | None, **attributes: Attribute) -> Span:
    """Start a span that the caller ends; without a parent it starts a trace."""
    if _provider is None:
        return Span()
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": parent} if parent else {}
    parent_context = TraceContextTextMapPropagator().extract(carrier, context=Context())
    span = Span(_provider.get_tracer("cleanplate").start_span(name, context=parent_context))
    span.tell(**attributes)
    return span


@contextmanager
def span(name: str, parent: str | None, **attributes: Attribute) -> Iterator[Span]:
    """A span around a block; an exception marks it as failed."""
    opened = begin(name, parent, **attributes)
    try:
        yield opened
    except BaseException as error:
        opened.end(type(error).__name__)
        raise
    opened.end()
