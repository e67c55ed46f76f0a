"""Hooks for traces and metrics: they see routes, and neither ids, logins nor codes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async import MedTechApiBuilder, Patient
from icure_async.errors import ConfigurationError, RequestTimeoutError, ServerError
from icure_async.hooks import template_of
from icure_async.sandbox import Fault, Sandbox
from icure_async.services import Hook, OutgoingRequest, RequestOutcome, opentelemetry_hooks
from tests.support.builders import anonymous_builder_for, builder_for
from tests.support.logins import PHONE, authenticate
from tests.support.service_backend import ServiceBackend, someone

Seen = tuple[OutgoingRequest, RequestOutcome]


class Log(Hook):
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def start(self, request: OutgoingRequest) -> object:
        return f"state of {request.method}"

    def end(self, request: OutgoingRequest, outcome: RequestOutcome, state: object) -> None:
        assert state == f"state of {request.method}"
        self.seen.append((request, outcome))

    @property
    def routes(self) -> list[str]:
        return [f"{request.method} {request.url_template}" for request, _ in self.seen]


class Broken(Hook):
    """Fails at everything."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    def start(self, request: OutgoingRequest) -> object:
        raise self._error

    def end(self, request: OutgoingRequest, outcome: RequestOutcome, state: object) -> None:
        assert state is None
        raise self._error


class Slow(Hook):
    """Takes part in the event loop, as it must not."""

    async def end(  # type: ignore[override]
        self, request: OutgoingRequest, outcome: RequestOutcome, state: object
    ) -> None: ...


@pytest.fixture
async def backend() -> AsyncIterator[ServiceBackend]:
    async with ServiceBackend() as running:
        yield running


def builder(backend: ServiceBackend, *hooks: Hook) -> MedTechApiBuilder:
    ned = someone("ned")
    return builder_for(backend.base_url, ned.login, ned.token).with_hooks(*hooks)


async def test_a_hook_is_told_of_each_request_and_its_answer(backend: ServiceBackend) -> None:
    log = Log()
    async with builder(backend, log).build() as api:
        await api.user_api.get_logged_user()
    (login, first), (current, second) = log.seen
    assert (login.method, login.url_template) == ("POST", "/rest/v1/auth/login")
    assert (current.method, current.url_template) == ("GET", "/rest/v1/user/current")
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.error_type is None
    assert 0 < first.seconds < 60
    assert (login.server_address, login.url_scheme) == ("127.0.0.1", "http")
    assert str(login.server_port) in backend.root_url


async def test_each_attempt_is_one_with_its_number(
    backend: ServiceBackend, no_pauses: None
) -> None:
    log = Log()
    backend.on("GET /user/current", 503, 503, {"id": "user-ned"})
    async with builder(backend, log).build() as api:
        await api.user_api.get_logged_user()
    attempts = [(r.resend_count, o.status_code, o.error_type) for r, o in log.seen[1:]]
    assert attempts == [(0, 503, "503"), (1, 503, "503"), (2, 200, None)]


async def test_an_attempt_without_an_answer_has_the_type_of_its_error(
    backend: ServiceBackend,
) -> None:
    log = Log()
    never = asyncio.Event()

    async def hang(request: Any) -> Any:
        await never.wait()

    backend.on("GET /user/current", hang)
    async with builder(backend, log).with_timeout(0.05).build() as api:
        with pytest.raises(RequestTimeoutError):
            await api.user_api.get_logged_user()
    never.set()
    assert log.seen[-1][1].status_code is None
    assert log.seen[-1][1].error_type == "RequestTimeoutError"


async def test_a_call_that_is_cancelled_ends_its_attempt(backend: ServiceBackend) -> None:
    log = Log()
    backend.hurdle = asyncio.Event().wait
    async with builder(backend, log).build() as api:
        call = asyncio.create_task(api.user_api.get_logged_user())
        await backend.arrived.wait()
        call.cancel()
        await asyncio.wait([call])
    assert [outcome.error_type for _, outcome in log.seen] == ["CancelledError"]


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
async def test_a_hook_that_fails_breaks_no_request(
    backend: ServiceBackend, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    log = Log()
    async with builder(backend, Broken(error), log, Broken(error)).build() as api:
        assert (await api.user_api.get_logged_user()).id == "user-ned"
    assert len(log.seen) == 2
    assert "A hook given to with_hooks() has failed" in caplog.text


@pytest.mark.parametrize("hook", [None, print, Log, "log"])
def test_a_hook_that_is_none_is_refused(hook: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"with_hooks\(\) needs objects of classes"):
        MedTechApiBuilder().with_hooks(hook)


def test_a_hook_with_async_methods_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"end\(\) of Slow: write def"):
        MedTechApiBuilder().with_hooks(Slow())


async def test_the_hooks_of_the_anonymous_api_go_with_the_user(sandbox: Sandbox) -> None:
    """And no id, login or code of a whole story is in a template."""
    log = Log()
    async with anonymous_builder_for(sandbox).with_hooks(log).build() as anonymous:
        result = await authenticate(anonymous, sandbox)
    async with result.med_tech_api as api:
        saved = await api.patient_api.create_or_modify_patient(
            Patient(last_name="Stark", note="winter")
        )
        await api.patient_api.get_patient(saved.id)
        await api.patient_api.get_patients([saved.id, result.data_owner_id])
        async with api.patient_api.subscribe_to_patient_events(("CREATE",)):
            await asyncio.sleep(0)
        await api.logout()

    assert {
        "POST /msggtw/{id}/process/{id}/{id}",
        "GET /msggtw/{id}/process/validate/{id}",
        "POST /rest/v1/auth/login",
        "POST /rest/v1/user/token/{id}/{id}",
        "POST /rest/v1/patient",
        "GET /rest/v1/patient/{id}",
        "POST /rest/v1/patient/byIds",
        "GET /ws/v1/notification/subscribe",
    } <= {*log.routes}
    export = json.dumps((await sandbox.export())["entities"])
    told = " ".join(log.routes)
    assert PHONE.lstrip("+") not in told
    for segment in {segment for route in log.routes for segment in route.split("/")[1:]}:
        # An id is in the data; a word of the protocol is not the value of anything's id.
        assert f'"id": "{segment}"' not in export
    assert not any(character.isdigit() for character in told.replace("/v1", ""))


@given(st.lists(st.text(min_size=1), max_size=4))
def test_a_template_has_words_of_the_protocol_only(segments: list[str]) -> None:
    from urllib.parse import quote

    url = "https://x.example/rest/v1/patient/" + "/".join(quote(s, safe="") for s in segments)
    template = template_of(url + "?code=123456")
    assert "123456" not in template
    left = template.removeprefix("/rest/v1/patient/").split("/")
    from icure_async.hooks import _WORDS

    assert {*left} <= _WORDS | {"{id}"}


async def test_spans_and_metrics_have_the_names_of_opentelemetry(
    backend: ServiceBackend, no_pauses: None
) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    hooks = opentelemetry_hooks(tracer_provider=tracers, meter_provider=meters)
    backend.on("GET /user/current", 500)
    async with builder(backend, *hooks).build() as api:
        outer_span = tracers.get_tracer("service").start_as_current_span("GET /me")
        with outer_span as parent, pytest.raises(ServerError):
            await api.user_api.get_logged_user()

    login, current, outer = exporter.get_finished_spans()
    assert (login.name, current.name) == (
        "POST /rest/v1/auth/login",
        "GET /rest/v1/user/current",
    )
    assert outer.name == "GET /me"
    assert login.parent is not None
    assert login.parent.span_id == parent.get_span_context().span_id
    assert login.kind is trace.SpanKind.CLIENT
    assert current.status.status_code is trace.StatusCode.ERROR
    port = int(backend.root_url.rpartition(":")[2])
    assert dict(current.attributes or {}) == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": port,
        "url.scheme": "http",
        "url.template": "/rest/v1/user/current",
        "http.response.status_code": 500,
        "error.type": "500",
    }
    data = json.loads(reader.get_metrics_data().to_json())  # type: ignore[union-attr]
    (metric,) = data["resource_metrics"][0]["scope_metrics"][0]["metrics"]
    assert (metric["name"], metric["unit"]) == ("http.client.request.duration", "s")
    assert [point["count"] for point in metric["data"]["data_points"]] == [1, 1]
    tracers.shutdown()
    meters.shutdown()


def test_opentelemetry_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'icure-async\[opentelemetry\]'"):
        opentelemetry_hooks()


async def test_hooks_see_a_fault_of_the_sandbox(sandbox: Sandbox, no_pauses: None) -> None:
    log = Log()
    sandbox.inject_fault(Fault("drop-before", times=1))
    master = sandbox.master_hcp
    made = builder_for(sandbox.icure_url, master.login, master.password).with_hooks(log)
    async with made.build() as api:
        await api.user_api.get_logged_user()
    assert log.seen[0][1].error_type == "NetworkError"
    assert log.seen[1][0].resend_count == 1
