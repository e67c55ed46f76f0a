from __future__ import annotations

import asyncio

import pytest

from icure_async.sandbox import Sandbox
from icure_async.sandbox.store import Store
from tests.support.bare_client import World, bearer


async def test_every_answer_carries_its_own_request_id(world: World) -> None:
    answers = [
        await world.anonymous.get("/icure/ok"),
        await world.anonymous.get("/user/current"),
        await world.anonymous.get("/no/such/path"),
        await world.gateway.get("/lastSMS/123456"),
        await world.anonymous.post("/auth/login", data=b"{broken"),
    ]
    assert [answer.status for answer in answers] == [200, 401, 404, 404, 400]
    assert len({answer.headers["X-Request-Id"] for answer in answers}) == len(answers)


async def test_public_endpoints_answer_without_credentials(world: World) -> None:
    assert (await world.anonymous.get("/icure/v?ts=1")).status == 200
    assert (await world.anonymous.get("/icure/ok")).body == "true"


@pytest.mark.parametrize(
    "path",
    [
        "/user/current",
        "/user/x",
        "/patient/x",
        "/hcparty/current",
        "/hcparty/x/aesExchangeKeys",
        "/device/x",
        "/dataowner/current",
        "/maintenancetask/x",
        "/auth/token/GET/%2Fws%2Fv1%2Fnotification",
    ],
)
async def test_everything_else_needs_credentials(world: World, path: str) -> None:
    answer = await world.anonymous.get(path)
    assert answer.status == 401
    assert answer.body["message"]


async def test_tokens_are_bare_text(world: World) -> None:
    master = await world.master()
    answer = await master.get("/auth/token/GET/%2Fws%2Fv1%2Fnotification?ts=1")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert len(answer.body) == 36


async def test_an_unexpected_body_is_refused_as_such(world: World) -> None:
    master = await world.master()
    for body in (b"[]", b'"text"', b"", b"{", b"\xff"):
        answer = await master.post("/patient", data=body)
        assert answer.status == 400, body
        assert answer.body["message"]


async def test_the_token_may_be_a_query_parameter(world: World) -> None:
    token = (await world.master()).headers["Authorization"].removeprefix("Bearer ")
    assert (await world.anonymous.get(f"/user/current?jwt={token}")).status == 200
    assert (await world.anonymous.get("/user/current?jwt=a.b.c")).status == 401


async def test_the_environment_names_what_a_sample_needs(world: World) -> None:
    sandbox = world.sandbox
    assert sandbox.environment == {
        "ICURE_URL": sandbox.icure_url,
        "ICURE_MSG_GTW_URL": sandbox.msg_gw_url,
        "SPEC_ID": "ic",
        "AUTH_BY_EMAIL_HCP_PROCESS_ID": sandbox.hcp_process_by_email_id,
        "AUTH_BY_SMS_HCP_PROCESS_ID": sandbox.hcp_process_by_sms_id,
        "AUTH_BY_EMAIL_PATIENT_PROCESS_ID": sandbox.patient_process_by_email_id,
        "AUTH_BY_SMS_PATIENT_PROCESS_ID": sandbox.patient_process_by_sms_id,
    }
    assert len(set(sandbox.environment.values())) == 7
    assert sandbox.icure_url.startswith("http://127.0.0.1:")


async def test_nothing_secret_is_printed_or_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await world.register("ned@winterfell.example")
    request_id = await world.start("+32588235595")
    code = await world.sandbox.wait_for_code("+32588235595")
    await world.validate(request_id, code)
    master = world.sandbox.master_hcp
    printed = f"{master!r} {world.sandbox!r}"
    logged = "\n".join(
        record.getMessage() for record in caplog.records if record.name.startswith("icure")
    )
    for secret in (code, master.password, master.key_pair.private_key):
        assert secret not in printed
        assert secret not in logged


async def test_a_malformed_request_is_refused_and_its_path_not_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    host, port = world.sandbox.icure_url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /msggtw/ic/process/validate/id-493817\xff HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), timeout=5)
    writer.close()
    await writer.wait_closed()
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert "493817" not in caplog.text


async def test_a_sandbox_that_is_not_running_says_so() -> None:
    sandbox = Sandbox()
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.icure_url
    with pytest.raises(RuntimeError, match="not running"):
        await sandbox.export()


async def test_an_unknown_scheme_of_credentials_is_no_credential(world: World) -> None:
    client = world.with_headers({"Authorization": "Digest abc"})
    assert (await client.get("/user/current")).status == 401
    assert (await world.with_headers(bearer("")).get("/user/current")).status == 401


async def test_an_unexpected_error_names_the_request_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise LookupError("an internal detail")

    monkeypatch.setattr(Store, "run", fail)
    answer = await world.anonymous.get("/icure/ok")
    assert answer.status == 500
    assert answer.headers["X-Request-Id"] in answer.body["message"]
    assert "internal" not in answer.body["message"]
