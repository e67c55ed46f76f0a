"""The requests that carry notifications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from icure_async.errors import InvalidResponseError, ServerError, ValidationError
from icure_async.rest.entities import EntityResource
from icure_async.rest.transport import Transport
from tests.support.loopback import Answer, Backend, json_of, login_answer, open_session

LOGIN = "POST /auth/login"
TASK: dict[str, object] = {"id": "1", "taskType": "OTHER"}
CHAIN: dict[str, object] = {"$type": "FilterChain", "filter": {"$type": "UnionFilter"}}

Call = Callable[[EntityResource], Awaitable[object]]

CALLS: dict[str, tuple[Call, bool]] = {
    "POST /maintenancetask": (lambda tasks: tasks.create(TASK), False),
    "PUT /maintenancetask": (lambda tasks: tasks.modify(TASK), False),
    "GET /maintenancetask/1": (lambda tasks: tasks.get("1"), True),
    "POST /maintenancetask/filter": (lambda tasks: tasks.filter(CHAIN, limit=2), True),
    "DELETE /maintenancetask/1": (lambda tasks: tasks.delete("1"), True),
}
"""Each call, and whether it may be sent twice."""


@pytest.fixture
def tasks(transport: Transport, backend: Backend) -> EntityResource:
    backend.on(LOGIN, login_answer())
    session = open_session(transport, backend.base_url)
    return EntityResource(session, "maintenancetask", "notification")


@pytest.mark.parametrize("route", CALLS)
async def test_each_call_is_one_request(
    backend: Backend, tasks: EntityResource, route: str
) -> None:
    answer: Answer = [{"id": "1"}] if route.startswith("DELETE") else {"id": "1", "rev": "1-a"}
    if route.endswith("/filter"):
        answer = {"rows": [answer]}
    backend.on(route, answer)
    assert await CALLS[route][0](tasks) == answer
    assert backend.calls == [LOGIN, route]
    sent = {"POST /maintenancetask": TASK, "PUT /maintenancetask": TASK}
    if route.endswith("/filter"):
        assert json_of(backend.seen[1]) == CHAIN
    elif route in sent:
        assert json_of(backend.seen[1]) == sent[route]
    else:
        assert backend.seen[1].body == b""


@pytest.mark.parametrize("route", CALLS)
@pytest.mark.usefixtures("no_pauses")
async def test_only_what_changes_nothing_twice_is_sent_again(
    backend: Backend, tasks: EntityResource, route: str
) -> None:
    call, repeatable = CALLS[route]
    backend.on(route, 504)
    with pytest.raises(ServerError):
        await call(tasks)
    assert (len(backend.calls) > 2) == repeatable


async def test_pages_are_asked_for_by_their_first_id(
    backend: Backend, tasks: EntityResource
) -> None:
    backend.on("POST /maintenancetask/filter", {"rows": []})
    await tasks.filter(CHAIN, limit=7)
    await tasks.filter(CHAIN, limit=7, start_id="a&b=c é")
    assert [seen.query for seen in backend.seen[1:]] == [
        "limit=7",
        "limit=7&startDocumentId=a%26b%3Dc+%C3%A9",
    ]


async def test_ids_are_escaped(backend: Backend, tasks: EntityResource) -> None:
    route = "/maintenancetask/a%2Fb%7Cc%20%C3%A9%3F%23%25"
    backend.on(f"GET {route}", {"id": "x"}).on(f"DELETE {route}", [])
    # No record has such an id, so that the answer is refused.
    with pytest.raises(InvalidResponseError):
        await tasks.get("a/b|c é?#%")
    await tasks.delete("a/b|c é?#%")
    assert backend.calls == [LOGIN, f"GET {route}", f"DELETE {route}"]


@pytest.mark.parametrize("task_id", ["", ".", "..", "\ud800"])
async def test_an_id_that_leads_elsewhere_is_never_sent(
    backend: Backend, tasks: EntityResource, task_id: str
) -> None:
    for call in (tasks.get(task_id), tasks.delete(task_id)):
        with pytest.raises(ValidationError):
            await call
    assert backend.calls == []


async def test_an_answer_of_another_form_is_an_error(
    backend: Backend, tasks: EntityResource
) -> None:
    for route in CALLS:
        backend.on(route, {} if route.startswith("DELETE") else [])
    for call, _ in CALLS.values():
        with pytest.raises(InvalidResponseError, match="notification"):
            await call(tasks)
