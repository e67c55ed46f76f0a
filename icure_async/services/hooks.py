"""Traces and metrics of OpenTelemetry for the requests of API objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async._version import __version__
from icure_async.errors import ConfigurationError
from icure_async.hooks import Hook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.hooks import OutgoingRequest, RequestOutcome

__all__ = ["opentelemetry_hooks"]

_SCOPE: Final = "icure_async"
_BOUNDARIES: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5),
    *(0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)


def opentelemetry_hooks(
    *, tracer_provider: Any = None, meter_provider: Any = None
) -> Sequence[Hook]:
    """Return hooks that make a span and a measurement of each attempt to make a request.

    It takes the extra ``opentelemetry``. Spans are called ``GET /rest/v1/patient/{id}``, are of
    kind ``CLIENT``, and have the attributes of the semantic conventions for HTTP clients:
    ``http.request.method``, ``server.address``, ``server.port``, ``url.scheme``, ``url.template``,
    ``http.request.resend_count``, ``http.response.status_code``, ``error.type``. The metric is
    ``http.client.request.duration``, in seconds. No ``url.full`` is among them, since URLs have ids
    and codes in them. ::

        builder.with_hooks(*opentelemetry_hooks())

    Args:
        tracer_provider: of OpenTelemetry; None for the global one.
        meter_provider: of OpenTelemetry; None for the global one.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry import metrics, trace
    except ImportError:
        raise ConfigurationError(
            "opentelemetry_hooks() needs its extra: pip install 'icure-async[opentelemetry]'."
        ) from None
    tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
    meter = metrics.get_meter(_SCOPE, __version__, meter_provider)
    durations = meter.create_histogram(
        "http.client.request.duration",
        unit="s",
        description="Duration of HTTP client requests.",
        explicit_bucket_boundaries_advisory=_BOUNDARIES,
    )
    return [_OpenTelemetryHook(tracer, durations, trace)]


class _OpenTelemetryHook(Hook):
    """Makes a span and a measurement of each attempt."""

    def __init__(self, tracer: Any, durations: Any, trace: Any) -> None:
        self._tracer = tracer
        self._durations = durations
        self._trace = trace

    def start(self, request: OutgoingRequest) -> object:
        """Begin a span, below the one that is current."""
        attributes = _attributes_of(request)
        if request.resend_count:
            attributes["http.request.resend_count"] = request.resend_count
        return self._tracer.start_span(
            f"{request.method} {request.url_template}",
            kind=self._trace.SpanKind.CLIENT,
            attributes=attributes,
        )

    def end(self, request: OutgoingRequest, outcome: RequestOutcome, state: Any) -> None:
        """End the span, and take the measurement."""
        found: dict[str, str | int] = {}
        if outcome.status_code is not None:
            found["http.response.status_code"] = outcome.status_code
        if outcome.error_type is not None:
            found["error.type"] = outcome.error_type
        self._durations.record(outcome.seconds, {**_attributes_of(request), **found})
        if state is None:
            return
        state.set_attributes(found)
        if outcome.error_type is not None:
            state.set_status(self._trace.StatusCode.ERROR)
        state.end()


def _attributes_of(request: OutgoingRequest) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "http.request.method": request.method,
        "server.address": request.server_address,
        "url.scheme": request.url_scheme,
        "url.template": request.url_template,
    }
    if request.server_port is not None:
        attributes["server.port"] = request.server_port
    return attributes
