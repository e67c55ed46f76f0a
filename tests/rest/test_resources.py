"""The requests of each resource, next to those the reference makes for the same purpose."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from icure_async.errors import InvalidResponseError, NotFoundError, ValidationError
from icure_async.rest.data_owners import (
    DATA_OWNER_KINDS,
    DataOwnerKind,
    DataOwnerResource,
    TypedDataOwner,
)
from icure_async.rest.entities import EntityResource
from icure_async.rest.message_gateway import MessageGateway
from icure_async.rest.session import Session
from icure_async.rest.transport import Transport
from icure_async.rest.users import UserResource
from tests.support.loopback import Answer, Backend, Seen, json_of, login_answer, open_session

LOGIN = "POST /auth/login"
ID = "80e970b9-7e70-4776-aa46-5c05ab85cfc8"
ODD_ID = "a/b|c é?#%"
ODD_PATH = "a%2Fb%7Cc%20%C3%A9%3F%23%25"


@pytest.fixture
def session(transport: Transport, backend: Backend) -> Session:
    backend.on(LOGIN, login_answer())
    return open_session(transport, backend.base_url)


@pytest.fixture
def gateway(transport: Transport, backend: Backend) -> MessageGateway:
    return MessageGateway(transport, url=backend.root_url + "/msggtw", spec_id="ic")


def recorded(transcript: dict[str, Any], method: str, part: str) -> dict[str, Any]:
    """The first request of the reference with this method and this text in its path."""
    for step in transcript["steps"]:
        for request in step["requests"]:
            if request["method"] == method and part in request["path"]:
                found: dict[str, Any] = request
                return found
    raise AssertionError(f"the reference never makes {method} …{part}…")


def assert_like_the_reference(seen: Seen, reference: dict[str, Any]) -> None:
    path, _, query = reference["path"].removeprefix("/rest/v1").partition("?")
    # Not sent by us: a cache buster that backends ignore (server-behaviour.md §1.1).
    parameters = [item for item in query.split("&") if item and not item.startswith("ts=")]
    assert (seen.method, seen.path) == (reference["method"], path)
    assert seen.query == "&".join(parameters)
    theirs = reference["headers"]
    assert seen.headers["X-Requested-With"] == theirs["X-Requested-With"]
    assert seen.authorization.partition(" ")[0] == theirs.get("Authorization", "").partition(" ")[0]
    if reference["body"] is None:
        assert seen.body == b""
        assert "json" not in seen.headers.get("Content-Type", "")
    else:
        assert json_of(seen) == reference["body"]
        assert seen.headers["Content-Type"] == theirs["Content-Type"] == "application/json"
    assert "ts=" not in seen.query


Call = Callable[[Session, dict[str, Any]], Awaitable[object]]


def segments(reference: dict[str, Any]) -> list[str]:
    path: str = reference["path"].partition("?")[0]
    return path.split("/")


def exchange_keys(kind: DataOwnerKind) -> tuple[str, str, Call]:
    def call(session: Session, request: dict[str, Any]) -> Awaitable[object]:
        return DataOwnerResource(session).exchange_keys(kind, segments(request)[-2])

    return "GET", f"/{kind}/{ID}/aesExchangeKeys", call


def patients(session: Session) -> EntityResource:
    return EntityResource(session, "patient", "patient")


CALLS: dict[str, tuple[str, str, Call]] = {
    "current user": ("GET", "/user/current", lambda session, _: UserResource(session).current()),
    "token": (
        "POST",
        "/user/token/",
        lambda session, request: UserResource(session).create_token(
            *segments(request)[-2:], validity=315360000, secret="b1eb6c4e"
        ),
    ),
    "patient": (
        "GET",
        f"/patient/{ID}?",
        lambda session, _: patients(session).get(ID),
    ),
    "new patient": (
        "POST",
        "/rest/v1/patient?",
        lambda session, request: patients(session).create(request["body"]),
    ),
    "modified patient": (
        "PUT",
        "/rest/v1/patient?",
        lambda session, request: patients(session).modify(request["body"]),
    ),
    "modified data owner": (
        "PUT",
        "/rest/v1/hcparty?",
        lambda session, request: DataOwnerResource(session).modify(
            TypedDataOwner("hcparty", request["body"])
        ),
    ),
    "data owner": (
        "GET",
        "/rest/v1/device/",
        lambda session, request: DataOwnerResource(session).get_of_kind(
            "device", segments(request)[-1]
        ),
    ),
    **{f"exchange keys by {kind}": exchange_keys(kind) for kind in DATA_OWNER_KINDS},
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_request_is_like_the_references(
    backend: Backend, session: Session, transcript: dict[str, Any], name: str
) -> None:
    method, part, call = CALLS[name]
    reference = recorded(transcript, method, part)
    path = reference["path"].removeprefix("/rest/v1").partition("?")[0]
    document = {"rev": "1-a", "id": (reference["body"] or {}).get("id", segments(reference)[-1])}
    answer: Answer = document if name != "token" else "b1eb6c4e"
    if name.startswith("exchange keys"):
        answer = {}
    backend.on(f"{method} {path}", answer)

    await call(session, reference)

    [_, seen] = backend.seen
    assert_like_the_reference(seen, reference)


async def test_the_login_is_like_the_references(
    backend: Backend, transport: Transport, transcript: dict[str, Any]
) -> None:
    backend.on(LOGIN, login_answer())
    reference = recorded(transcript, "POST", "/auth/login")
    body = reference["body"]
    session = open_session(
        transport, backend.base_url, user_name=body["username"], password=body["password"]
    )

    await session.sign_in()

    assert_like_the_reference(backend.seen[0], reference)


async def test_the_gateway_is_called_like_by_the_reference(
    backend: Backend, gateway: MessageGateway, transcript: dict[str, Any]
) -> None:
    start = recorded(transcript, "POST", "/process/patient-sms/")
    start_path = start["path"].partition("?")[0]
    validate = recorded(transcript, "GET", "/process/validate/")
    backend.on(f"POST {start_path}", 200).on(f"GET {validate['path']}", "true")
    request_id, _, code = segments(validate)[-1].rpartition("-")

    await gateway.start_process("patient-sms", request_id, start["body"], code_length=6)
    await gateway.validate_code(request_id, code)

    assert_like_the_reference(backend.seen[0], start)
    assert_like_the_reference(backend.seen[1], validate)


async def test_the_gateways_refusals_come_through(
    backend: Backend, gateway: MessageGateway
) -> None:
    backend.on("POST /msggtw/ic/process/p/r", 404).on("GET /msggtw/ic/process/validate/r-1", 404)

    with pytest.raises(NotFoundError, match="Could not start the authentication process"):
        await gateway.start_process("p", "r", {}, code_length=6)
    with pytest.raises(NotFoundError, match="Could not validate the code"):
        await gateway.validate_code("r", "1")


@pytest.mark.parametrize(
    "page",
    [
        lambda: web.Response(text="Log in to the network", content_type="text/html"),
        lambda: web.Response(text="  <!DOCTYPE html><html></html>"),
    ],
    ids=["by its type", "by its look"],
)
async def test_a_web_page_is_no_agreement_of_the_gateway(
    backend: Backend, gateway: MessageGateway, page: Callable[[], web.Response]
) -> None:
    backend.on("POST /msggtw/ic/process/p/r", page())
    backend.on("GET /msggtw/ic/process/validate/r-1", page())

    with pytest.raises(InvalidResponseError, match=r"web page answers; check with_msg_gw_url"):
        await gateway.start_process("p", "r", {}, code_length=6)
    with pytest.raises(InvalidResponseError, match=r"web page answers; check with_msg_gw_url"):
        await gateway.validate_code("r", "1")


@pytest.mark.parametrize("status", [429, 502, 503])
@pytest.mark.usefixtures("no_pauses")
async def test_a_code_is_never_tried_twice(
    backend: Backend, gateway: MessageGateway, status: int
) -> None:
    backend.on("GET /msggtw/ic/process/validate/r-1", status)

    with pytest.raises(Exception, match=f"HTTP {status}"):
        await gateway.validate_code("r", "1")
    assert len(backend.calls) == 1


# Ids go into paths whatever they are made of.
PATHS: dict[str, Call] = {
    f"GET /user/{ODD_PATH}": lambda session, _: UserResource(session).get(ODD_ID),
    f"GET /patient/{ODD_PATH}": lambda session, _: patients(session).get(ODD_ID),
    f"GET /device/{ODD_PATH}": lambda session, _: DataOwnerResource(session).get_of_kind(
        "device", ODD_ID
    ),
    f"GET /dataowner/{ODD_PATH}": lambda session, _: DataOwnerResource(session).get(ODD_ID),
    f"GET /hcparty/{ODD_PATH}/aesExchangeKeys": lambda session, _: DataOwnerResource(
        session
    ).exchange_keys("hcparty", ODD_ID),
}


@pytest.mark.parametrize("route", PATHS)
async def test_ids_are_escaped(backend: Backend, session: Session, route: str) -> None:
    backend.on(route, {"id": ODD_ID})

    # No record has such an id, so that the answer may be refused.
    with contextlib.suppress(InvalidResponseError):
        await PATHS[route](session, {})

    assert backend.calls == [LOGIN, route]


@pytest.mark.parametrize("patient_id", ["", ".", "..", "\ud800"])
async def test_an_id_that_leads_elsewhere_is_never_sent(
    backend: Backend, session: Session, patient_id: str
) -> None:
    with pytest.raises(ValidationError):
        await patients(session).delete(patient_id)
    assert backend.calls == []


async def test_many_patients_are_read_with_one_request(backend: Backend, session: Session) -> None:
    stored: list[object] = [{"id": "1", "rev": "1-a"}, {"id": "2", "rev": "1-b"}]
    backend.on("POST /patient/byIds", stored)

    assert await patients(session).get_many(("1", "2")) == stored

    assert json_of(backend.seen[1]) == {"ids": ["1", "2"]}


BY_IDS = {"ids": ["1", "2"], "$type": "PatientByIdsFilter"}


@pytest.mark.parametrize("count", [0, 2, 2000])
async def test_ids_are_matched_with_one_request(
    backend: Backend, session: Session, count: int
) -> None:
    ids: list[object] = [f"id-{number}" for number in range(count)]
    backend.on("POST /patient/match", ids)

    assert await patients(session).match(BY_IDS) == ids

    assert json_of(backend.seen[1]) == BY_IDS


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (["1", None], r"\[1\] in the server's answer is not a text"),
        ([{"id": "1"}], r"\[0\] in the server's answer is not a text"),
        (["1", "a/b"], r"\[1\] in the server's answer is not an id"),
        ([""], "is not an id"),
        (["1", "2", "1"], r"\[2\] in the server's answer is there twice"),
        ([["1"]], "is not a text"),
        ({"rows": []}, "not an array"),
        ("1", "not an array"),
        ([str(number % 700) for number in range(1000)], "is there twice"),
    ],
)
async def test_what_is_no_list_of_distinct_ids_is_refused(
    backend: Backend, session: Session, answer: Any, problem: str
) -> None:
    backend.on("POST /patient/match", answer)

    with pytest.raises(InvalidResponseError, match=f"Could not find patients: .*{problem}"):
        await patients(session).match(BY_IDS)


async def test_a_patient_is_deleted(backend: Backend, session: Session) -> None:
    backend.on("DELETE /patient/1", [{"id": "1", "rev": "2-ab"}])

    assert await patients(session).delete("1") == [{"id": "1", "rev": "2-ab"}]


async def test_the_token_is_chosen_here(backend: Backend, session: Session) -> None:
    backend.on("POST /user/token/u/k", "chosen")

    await UserResource(session).create_token("u", "k", validity=60, secret="chosen")

    assert backend.seen[1].headers["token"] == "chosen"
    assert backend.seen[1].query == "tokenValidity=60"


async def test_another_token_than_the_chosen_one_is_refused(
    backend: Backend, session: Session
) -> None:
    backend.on("POST /user/token/u/k", "the-servers")

    with pytest.raises(InvalidResponseError, match="another token") as caught:
        await UserResource(session).create_token("u", "k", validity=60, secret="chosen")

    assert "the-servers" not in str(caught.value)
    assert "chosen" not in str(caught.value)


OWNER: dict[str, object] = {"id": ID, "rev": "1-a", "firstName": "Ned"}


@pytest.mark.parametrize(
    ("kind_on_wire", "kind"), [("hcp", "hcparty"), ("patient", "patient"), ("device", "device")]
)
async def test_a_data_owner_comes_with_its_kind(
    backend: Backend, session: Session, kind_on_wire: str, kind: str
) -> None:
    answer: dict[str, object] = {"type": kind_on_wire, "dataOwner": OWNER}
    backend.on("GET /dataowner/current", answer).on(f"GET /dataowner/{ID}", answer)
    resource = DataOwnerResource(session)

    current, by_id = await resource.current(), await resource.get(ID)

    assert current == by_id
    assert current is not None
    assert (current.kind, current.id, current.document) == (kind, ID, OWNER)
    assert "Ned" not in repr(current)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"type": "hcp"},
        {"type": "alien", "dataOwner": OWNER},
        {"type": ["hcp"], "dataOwner": OWNER},
        {"type": None, "dataOwner": OWNER},
        {"type": "hcp", "dataOwner": []},
        {"type": "hcp", "dataOwner": {}},
        {"type": "hcp", "dataOwner": {"id": None}},
        {"type": "hcp", "dataOwner": {"id": 7}},
    ],
    ids=str,
)
async def test_an_answer_that_tells_no_kind_is_of_no_use(
    backend: Backend, session: Session, answer: dict[str, object]
) -> None:
    backend.on("GET /dataowner/current", answer)

    assert await DataOwnerResource(session).current() is None


async def test_an_answer_of_another_form_is_an_error(backend: Backend, session: Session) -> None:
    backend.on("GET /patient/1", []).on("POST /patient/byIds", {}).on("POST /user/token/u/k", {})

    with pytest.raises(InvalidResponseError, match=r"Could not read patient 1: .*not an object"):
        await patients(session).get("1")
    with pytest.raises(InvalidResponseError, match=r"Could not read 1 patients: .*not an array"):
        await patients(session).get_many(["1"])
    with pytest.raises(InvalidResponseError, match="bare text"):
        await UserResource(session).create_token("u", "k", validity=60, secret="s")
