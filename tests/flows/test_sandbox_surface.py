"""The sandbox as tests use it: messages, requests, faults, the clock, and back to the start."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from icure_async import AnonymousMedTechApiBuilder, MedTechApiBuilder
from icure_async.sandbox import Fault, Sandbox

PHONE = "+32588235595"


async def test_a_login_is_seen_from_all_sides_and_undone(
    sandbox: Sandbox,
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    builder: Callable[[str, str], MedTechApiBuilder],
) -> None:
    before = await sandbox.export()
    sandbox.set_codes({PHONE: "246810"})
    person = await sandbox.register("patient", phone_number=PHONE)
    anonymous = await anonymous_builder().with_in_memory_keys().build()
    process = await anonymous.authentication_api.start_authentication("x", phone_number=PHONE)
    (message,) = sandbox.messages(PHONE)
    assert (message.code, message.state) == ("246810", "open")
    api = await builder(person.login, person.token).build()
    with sandbox.fault(Fault("status", status=503, times=1)) as injected:
        await api.init_user_crypto(person.key_pair)
    assert injected.struck == 1
    assert [request.fault for request in sandbox.requests()].count("status") == 1
    sandbox.set_clock(datetime(2099, 1, 31, tzinfo=UTC))
    assert sandbox.messages(PHONE)[0].state == "expired"
    assert process.request_id not in str(sandbox.requests())
    await sandbox.reset()
    assert (sandbox.messages(), sandbox.requests()) == ([], [])
    await sandbox.load(before)
    assert await sandbox.export() == before
