"""Paths and versions of the protocol: the dialect's own, or the one that a request names."""

from __future__ import annotations

import pytest

from icure_async.rest.dialects import CARDINAL, MEDTECH, Dialect, dialect_of
from icure_async.rest.session import Session
from icure_async.rest.transport import Transport
from tests.support.loopback import PASSWORD, USER, Backend, login_answer, open_session


def test_each_flavour_has_its_dialect() -> None:
    assert dialect_of("medtech") is MEDTECH
    assert dialect_of("cardinal") is CARDINAL


async def test_a_session_of_2023_reads_from_version_2_on_demand_with_the_same_login(
    backend: Backend, transport: Transport
) -> None:
    backend.on("POST /auth/login", login_answer()).on("GET /thing", {})
    backend.on("GET /rest/v2/thing", {"of": 2})
    session = open_session(transport, backend.base_url)

    await session.request("GET", "/thing", action="read it")
    answer = await session.request("GET", "/thing", action="read it", query="a=b", version=2)

    assert answer.json() == {"of": 2}
    assert backend.calls == ["POST /auth/login", "GET /thing", "GET /rest/v2/thing"]
    assert backend.seen[-1].query == "a=b"


@pytest.mark.parametrize("dialect", [MEDTECH, CARDINAL])
@pytest.mark.parametrize("version", ["", "/rest/v1", "/rest/v2"])
def test_the_dialect_decides_about_the_paths(
    transport: Transport, dialect: Dialect, version: str
) -> None:
    session = Session(
        transport,
        base_url="https://host" + version,
        user_name=USER,
        password=PASSWORD,
        dialect=dialect,
    )
    assert repr(session) == (f"Session(base_url='https://host{dialect.root}', user_name='{USER}')")
