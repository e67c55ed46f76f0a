"""Faults on demand, as anybody sees them who calls the sandbox."""

from __future__ import annotations

import asyncio
import io
import itertools
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from icure_async.sandbox import Fault, Sandbox
from tests.support.bare_client import Client, Json, World, basic

PATIENT = "/rest/v1/patient"
ROBB = {"id": "robb", "firstName": "Robb", "lastName": "Stark"}
BROKEN = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError)


def control(world: World, headers: dict[str, str] | None = None) -> Client:
    """The sandbox's own API, for its master if for nobody else."""
    master = world.sandbox.master_hcp
    own = basic(master.login, master.password) if headers is None else headers
    return Client(world.session, world.sandbox.control_url, own)


async def test_a_request_is_delayed_and_then_handled(world: World) -> None:
    master = await world.master()
    injected = world.sandbox.inject_fault(Fault("delay", path=PATIENT, seconds=0.2))
    begin = time.monotonic()
    assert (await master.post("/patient", ROBB)).status == 200
    assert time.monotonic() - begin >= 0.2
    assert (injected.matched, injected.struck) == (1, 1)


async def test_a_delayed_request_is_handled_though_its_sender_has_lost_patience(
    world: World,
) -> None:
    master = await world.master()
    world.sandbox.inject_fault(Fault("delay", method="POST", path=PATIENT, seconds=0.3))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(master.post("/patient", ROBB), 0.1)
    assert await world.sandbox.stored("patient", "robb") is None
    for _ in range(100):
        await asyncio.sleep(0.05)
        if await world.sandbox.stored("patient", "robb") is not None:
            return
    pytest.fail("it was not handled")


async def test_a_connection_dropped_before_leaves_nothing_written(world: World) -> None:
    master = await world.master()
    world.sandbox.inject_fault(Fault("drop-before", method="POST", path=PATIENT, times=1))
    with pytest.raises(BROKEN):
        await master.post("/patient", ROBB)
    assert await world.sandbox.stored("patient", "robb") is None
    assert (await master.post("/patient", ROBB)).status == 200


async def test_a_connection_dropped_after_leaves_everything_written(world: World) -> None:
    master = await world.master()
    world.sandbox.inject_fault(Fault("drop-after", method="POST", path=PATIENT, times=1))
    with pytest.raises(BROKEN):
        await master.post("/patient", ROBB)
    assert (await master.get("/patient/robb")).body["firstName"] == "Robb"
    assert (await master.post("/patient", ROBB)).status == 409


async def test_a_truncated_answer_announces_the_whole_and_everything_is_written(
    world: World,
) -> None:
    master = await world.master()
    world.sandbox.inject_fault(Fault("truncate", method="POST", path=PATIENT, times=1))
    response = await world.session.post(
        world.sandbox.icure_url + "/patient", json=ROBB, headers=master.headers
    )
    # The part that arrived before the connection broke is kept.
    arrived = await response.content.readany()
    with pytest.raises(aiohttp.ClientPayloadError):
        await response.content.read()
    response.close()
    assert response.status == 200
    assert response.headers["X-Request-Id"]
    whole = int(response.headers["Content-Length"])
    assert whole > 20
    assert len(arrived) == whole // 2
    assert arrived.startswith(b"{")
    assert (await master.get("/patient/robb")).body["firstName"] == "Robb"


async def test_an_error_is_truncated_like_any_answer(world: World) -> None:
    world.sandbox.inject_fault(Fault("truncate", path=PATIENT + "/*"))
    async with world.session.get(world.sandbox.icure_url + "/patient/robb") as response:
        assert response.status == 401
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


@pytest.mark.parametrize("status", [401, 409, 429, 500, 503])
async def test_a_status_is_answered_like_any_error_and_nothing_is_written(
    status: int, world: World
) -> None:
    master = await world.master()
    world.sandbox.inject_fault(Fault("status", status=status, path=PATIENT, times=1))
    answer = await master.post("/patient", ROBB)
    assert answer.status == status
    assert list(answer.body) == ["message"]
    assert answer.headers["X-Request-Id"]
    assert answer.headers["Vary"] == "Origin"
    assert "Retry-After" not in answer.headers
    assert await world.sandbox.stored("patient", "robb") is None
    assert (await master.post("/patient", ROBB)).status == 200


@pytest.mark.parametrize(("status", "seconds"), [(429, 7), (503, 0)])
async def test_retry_after_is_a_header(status: int, seconds: int, world: World) -> None:
    world.sandbox.inject_fault(Fault("status", status=status, retry_after=seconds))
    answer = await world.anonymous.get("/icure/ok")
    assert (answer.status, answer.headers["Retry-After"]) == (status, str(seconds))


async def test_a_large_body_that_is_refused_is_read_to_its_end(world: World) -> None:
    master = await world.master()
    world.sandbox.inject_fault(Fault("status", status=503, path=PATIENT))
    assert (await master.post("/patient", data=io.BytesIO(b"x" * 5_000_000))).status == 503


async def test_the_connection_is_good_for_other_requests_after_a_status(world: World) -> None:
    world.sandbox.inject_fault(Fault("status", status=500, nth=(1, 3)))
    answers = [await world.anonymous.get("/icure/ok") for _ in range(4)]
    assert [answer.status for answer in answers] == [500, 200, 500, 200]


async def test_the_gateway_has_faults_too(world: World) -> None:
    phone = "+32588235595"
    world.sandbox.inject_fault(Fault("status", status=500, path="/msggtw/ic/process/*", times=1))
    with pytest.raises(AssertionError, match="Injected"):
        await world.start(phone)
    with pytest.raises(TimeoutError):
        await world.sandbox.wait_for_code(phone, timeout=0.05)

    world.sandbox.inject_fault(Fault("drop-after", path="/msggtw/*/process/*", times=1))
    with pytest.raises(BROKEN):
        await world.start(phone)
    assert len(await world.sandbox.wait_for_code(phone)) == 6


async def test_a_code_whose_answer_was_lost_is_used_up_and_works_as_a_password(
    world: World,
) -> None:
    phone = "+32588235595"
    request_id = await world.start(phone)
    code = await world.sandbox.wait_for_code(phone)
    # Without a limit, since aiohttp repeats a GET on its own.
    world.sandbox.inject_fault(Fault("drop-after", path="*/process/validate/*"))
    with pytest.raises(BROKEN):
        await world.validate(request_id, code)
    world.sandbox.clear_faults()
    assert (await world.validate(request_id, code)).status == 410
    await world.login(phone, code)


async def test_paths_that_nobody_answers_can_be_struck(world: World) -> None:
    world.sandbox.inject_fault(Fault("status", status=503, path="/nowhere"))
    async with world.session.get(world.sandbox.icure_url.replace("/rest/v1", "/nowhere")) as answer:
        assert answer.status == 503


@pytest.mark.parametrize(
    ("fault", "struck"),
    [
        (Fault("drop-before"), [1, 2, 3, 4, 5]),
        (Fault("drop-before", times=2), [1, 2]),
        (Fault("drop-before", nth=2), [2]),
        (Fault("drop-before", nth=[2, 4]), [2, 4]),
        (Fault("drop-before", nth=range(2, 10)), [2, 3, 4, 5]),
        (Fault("drop-before", nth=(1, 3, 5), times=2), [1, 3]),
    ],
    ids=lambda value: str(value) if isinstance(value, list) else "",
)
async def test_only_the_requests_asked_for_are_struck(
    fault: Fault, struck: list[int], world: World
) -> None:
    injected = world.sandbox.inject_fault(fault)
    seen: list[int] = []
    for number in range(1, 6):
        try:
            await world.anonymous.post("/auth/login", {})
        except BROKEN:
            seen.append(number)
    assert seen == struck
    assert (injected.matched, injected.struck) == (5, len(struck))


@pytest.mark.parametrize(
    ("method", "path", "matches"),
    [
        ("*", "*", True),
        ("GET", "*", True),
        ("POST", "*", False),
        ("*", "/rest/v1/user/*", True),
        ("*", "/rest/v1/*/current", True),
        ("*", "*/current", True),
        ("*", "/rest/v1/user/current", True),
        ("*", "/rest/v1/user", False),
        ("*", "/user/current", False),
        ("*", "/rest/v1/user/curren.", False),
        ("GET", "/rest*current", True),
    ],
)
async def test_requests_match_by_method_and_whole_path(
    method: str, path: str, matches: bool, world: World
) -> None:
    injected = world.sandbox.inject_fault(Fault("status", method=method, path=path, status=500))
    status = (await world.anonymous.get("/user/current?ts=1")).status
    assert status == (500 if matches else 401)
    assert injected.matched == injected.struck == int(matches)


async def test_paths_are_compared_unescaped(world: World) -> None:
    world.sandbox.inject_fault(Fault("status", status=500, path="/rest/v1/user/a b@c"))
    assert (await world.anonymous.get("/user/a%20b%40c")).status == 500


async def test_a_browser_asking_for_permission_is_never_struck(world: World) -> None:
    injected = world.sandbox.inject_fault(Fault("status", status=500))
    assert (await world.anonymous.send("OPTIONS", "/patient")).status == 200
    assert injected.matched == 0


async def test_of_two_faults_the_earlier_one_happens_and_both_count(world: World) -> None:
    first = world.sandbox.inject_fault(Fault("status", status=500, nth=2))
    second = world.sandbox.inject_fault(Fault("status", status=409))
    answers = [await world.anonymous.get("/icure/ok") for _ in range(3)]
    assert [answer.status for answer in answers] == [409, 500, 409]
    assert (first.matched, first.struck) == (3, 1)
    assert (second.matched, second.struck) == (3, 2)


async def test_nothing_is_left_of_cleared_faults(world: World) -> None:
    injected = world.sandbox.inject_fault(Fault("status", status=500))
    assert (await world.anonymous.get("/icure/ok")).status == 500
    world.sandbox.clear_faults()
    assert (await world.anonymous.get("/icure/ok")).status == 200
    assert (injected.matched, injected.struck) == (1, 1)


async def test_a_fault_can_wait_for_the_sandbox_to_start(session: aiohttp.ClientSession) -> None:
    sandbox = Sandbox(jwt=False)
    sandbox.inject_fault(Fault("status", status=503, times=1))
    async with sandbox:
        client = World(sandbox, session).anonymous
        assert [(await client.get("/icure/ok")).status for _ in range(2)] == [503, 200]


async def test_a_sandbox_can_be_closed_while_a_request_is_delayed(
    session: aiohttp.ClientSession,
) -> None:
    async with Sandbox(jwt=False) as sandbox:
        injected = sandbox.inject_fault(Fault("delay", seconds=3600))
        waiting = asyncio.create_task(World(sandbox, session).anonymous.get("/icure/ok"))
        await asyncio.wait([waiting], timeout=0.3)
        assert injected.struck == 1
    with pytest.raises(BROKEN):
        await waiting


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"kind": "explode"}, "kind must be one of delay, drop-before"),
    ({"kind": ["delay"]}, "kind must be"),
    ({"kind": "drop-after", "method": "put"}, "method"),
    ({"kind": "drop-after", "method": 1}, "method"),
    ({"kind": "drop-after", "method": "OPTIONS"}, "OPTIONS is never"),
    ({"kind": "drop-after", "path": "patient"}, "path"),
    ({"kind": "drop-after", "path": ""}, "path"),
    ({"kind": "drop-after", "path": 5}, "path"),
    ({"kind": "drop-after", "path": "/a?b=c"}, "query"),
    ({"kind": "drop-after", "nth": 0}, "nth"),
    ({"kind": "drop-after", "nth": [1, -1]}, "nth"),
    ({"kind": "drop-after", "nth": True}, "nth"),
    ({"kind": "drop-after", "nth": "12"}, "nth"),
    ({"kind": "drop-after", "nth": [1.0]}, "nth"),
    ({"kind": "drop-after", "times": 0}, "times"),
    ({"kind": "drop-after", "times": True}, "times"),
    ({"kind": "drop-after", "times": 1.5}, "times"),
    ({"kind": "drop-after", "status": 500}, "status is needed"),
    ({"kind": "drop-after", "seconds": 1}, "seconds are needed"),
    ({"kind": "drop-after", "retry_after": 1}, "retry_after belongs"),
    ({"kind": "status"}, "status is needed"),
    ({"kind": "status", "status": 200}, "status must be an error"),
    ({"kind": "status", "status": 600}, "status must be an error"),
    ({"kind": "status", "status": "500"}, "status must be an error"),
    ({"kind": "status", "status": 500, "retry_after": 1}, "retry_after belongs"),
    ({"kind": "status", "status": 429, "retry_after": -1}, "retry_after must"),
    ({"kind": "status", "status": 429, "retry_after": 1.5}, "retry_after must"),
    ({"kind": "delay"}, "seconds are needed"),
    ({"kind": "delay", "seconds": 0}, "seconds must be"),
    ({"kind": "delay", "seconds": float("inf")}, "seconds must be"),
    ({"kind": "delay", "seconds": "1"}, "seconds must be"),
    ({"kind": "delay", "seconds": True}, "seconds must be"),
]


@pytest.mark.parametrize(("members", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_a_fault_that_makes_no_sense_is_refused(members: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fault(**members)


async def test_only_a_fault_can_be_injected(world: World) -> None:
    with pytest.raises(TypeError, match="must be a Fault, not str"):
        world.sandbox.inject_fault("drop-after")  # type: ignore[arg-type]


class TestOverHttp:
    async def test_a_fault_is_injected_listed_and_cleared(self, world: World) -> None:
        own = control(world)
        described = {
            "kind": "status",
            "method": "GET",
            "path": "/rest/v1/icure/*",
            "nth": [1, 2],
            "times": 1,
            "status": 429,
            "retryAfter": 3,
        }
        answer = await own.post("/faults", described)
        expected = {"id": 1, "fault": described, "matched": 0, "struck": 0}
        assert (answer.status, answer.body) == (200, [expected])

        struck = [await world.anonymous.get("/icure/ok") for _ in range(3)]
        assert [answer.status for answer in struck] == [429, 200, 200]
        assert struck[0].headers["Retry-After"] == "3"
        expected |= {"matched": 3, "struck": 1}
        assert (await own.get("/faults")).body == [expected]
        assert (await own.delete("/faults")).body == [expected]
        assert (await own.get("/faults")).body == []

    async def test_several_are_injected_at_once_or_none(self, world: World) -> None:
        own = control(world)
        good: Json = {"kind": "drop-before", "path": "/never"}
        answer = await own.post("/faults", [good, {"kind": "delay", "seconds": 0.5}])
        assert [injected["fault"] for injected in answer.body] == [
            {"kind": "drop-before", "method": "*", "path": "/never"},
            {"kind": "delay", "method": "*", "path": "*", "seconds": 0.5},
        ]
        assert len({injected["id"] for injected in answer.body}) == 2
        assert len((await own.delete("/faults")).body) == 2
        assert (await own.post("/faults", [good, {"kind": "explode"}])).status == 400
        assert (await own.get("/faults")).body == []

    async def test_both_ways_to_ask_are_for_the_same_faults(self, world: World) -> None:
        world.sandbox.inject_fault(Fault("status", status=500))
        ((injected),) = (await control(world).get("/faults")).body
        assert injected["fault"]["status"] == 500
        assert Fault.from_json(injected["fault"]) == Fault("status", status=500)
        await control(world).delete("/faults")
        assert (await world.anonymous.get("/icure/ok")).status == 200

    async def test_no_fault_strikes_the_way_out(self, world: World) -> None:
        injected = world.sandbox.inject_fault(Fault("drop-before"))
        assert (await control(world).get("/faults")).status == 200
        assert (await control(world).delete("/faults")).status == 200
        assert injected.matched == 0

    @pytest.mark.parametrize(
        "described",
        [
            None,
            [None],
            "drop-after",
            {},
            {"kind": "drop-after", "count": 3},
            {"kind": "status", "status": 429, "retry_after": 1},
            *[
                {"retryAfter" if name == "retry_after" else name: value}
                | {key: other for key, other in members.items() if key != name}
                for members, _ in WRONG
                for name, value in itertools.islice(reversed(members.items()), 1)
                if value != float("inf")
            ],
        ],
        ids=lambda value: str(value)[:50],
    )
    async def test_nonsense_is_a_bad_request(self, described: Any, world: World) -> None:
        answer = await control(world).post("/faults", described)
        assert answer.status == 400
        assert answer.body["message"]
        assert (await control(world).get("/faults")).body == []

    async def test_a_typing_error_is_named(self, world: World) -> None:
        answer = await control(world).post("/faults", {"kind": "drop-after", "count": 3, "a": 1})
        assert answer.body["message"] == "Unknown members of a fault: a, count"

    async def test_a_body_that_is_no_json_is_refused(self, world: World) -> None:
        assert (await control(world).post("/faults", data=b"{")).status == 400

    @pytest.mark.parametrize(
        "call",
        [
            lambda client: client.post("/faults", {"kind": "drop-before"}),
            lambda client: client.get("/faults"),
            lambda client: client.delete("/faults"),
        ],
        ids=["POST", "GET", "DELETE"],
    )
    async def test_only_administrators_may(
        self, call: Callable[[Client], Any], world: World
    ) -> None:
        patient = await world.register("ned@winterfell.example")
        assert (await call(control(world, headers={}))).status == 401
        assert (await call(control(world, headers=patient.headers))).status == 403
        assert (await call(control(world, headers=basic("sandbox-master", "guess")))).status == 401
        with_a_token = (await world.master()).headers
        assert (await call(control(world))).status == 200
        assert (await call(control(world, headers=with_a_token))).status == 200
