"""Registration and login with today's iCure, end to end."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest

from icure_async import AnonymousMedTechApi, AuthenticationProcess
from icure_async.errors import CodeExpiredError, InvalidCodeError
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox
from icure_async.storage import FileStorage, MemoryKeyStorage
from tests.authentication.test_crashes import Device
from tests.support.builders import anonymous_builder_for
from tests.support.death import Fate
from tests.support.logins import (
    EMAIL,
    PHONE,
    another,
    assert_can_work,
    left_in,
    owner_of,
    tokens_of,
    user_named,
)
from tests.support.request_log import RequestLog

TODAYS_KEYS = "publicKeysForOaepWithSha256"


class DeviceOfToday(Device):
    """A device whose programs speak with today's iCure."""

    flavour: ClassVar[Flavour] = "cardinal"

    async def published_keys(self) -> set[str]:
        if await user_named(self.sandbox, self.phone_number) is None:
            return set()
        owner = await owner_of(self.sandbox, self.phone_number)
        assert not owner.get("publicKey")
        assert not owner.get("aesExchangeKeys")
        return set(owner.get(TODAYS_KEYS, []))

    async def assert_whole(self, tokens: int) -> None:
        """One key, published and on disk; nothing else is left on the device."""
        owner = await owner_of(self.sandbox, self.phone_number)
        (public_key,) = await self.published_keys() - self.lost
        key_pair = await self.keys.get_key_pair(owner["id"], public_key)
        assert key_pair is not None
        assert key_pair.public_key == public_key
        assert await self.tokens() == tokens
        assert await left_in(FileStorage(self._directory / "state")) == []


async def registered(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, **person: Any
) -> tuple[AuthenticationProcess, str]:
    process = await anonymous.authentication_api.start_authentication(
        first_name="Ned",
        last_name="Stark",
        healthcare_professional_id=sandbox.master_hcp.data_owner_id,
        **person,
    )
    return process, await sandbox.wait_for_code(process.login)


@pytest.mark.parametrize("contact", [{"phone_number": PHONE}, {"email": EMAIL}], ids=str)
@pytest.mark.parametrize("professional", [False, True], ids=["patient", "professional"])
async def test_a_person_registers_and_logs_in_again(
    contact: dict[str, Any],
    professional: bool,
    sandbox: Sandbox,
    requests: RequestLog,
    client_session: aiohttp.ClientSession,
    key_storage: MemoryKeyStorage,
) -> None:
    builder = (
        anonymous_builder_for(sandbox, professional=professional)
        .with_flavour("cardinal")
        .with_client_session(client_session)
        .with_key_storage(key_storage)
    )
    async with builder.build() as anonymous:
        process, code = await registered(anonymous, sandbox, **contact)
        # As a web application does: the process waits in a database for the code.
        process = AuthenticationProcess.from_json(process.to_json())
        with pytest.raises(InvalidCodeError) as refused:
            await anonymous.authentication_api.complete_authentication(process, another(code))
        assert refused.value.process is not None
        result = await anonymous.authentication_api.complete_authentication(
            refused.value.process, code
        )
        await result.med_tech_api.aclose()
        owner = await owner_of(sandbox, process.login)
        (key_pair,) = result.key_pairs
        assert owner[TODAYS_KEYS] == [key_pair.public_key]
        assert not owner.get("publicKey")
        assert result.data_owner_id == owner["id"]
        assert result.process.flavour == "cardinal"

        process = await anonymous.authentication_api.start_authentication(**contact)
        code = await sandbox.wait_for_code(process.login)
        again = await anonymous.authentication_api.complete_authentication(process, code)
        async with again.med_tech_api as api:
            assert again.key_pairs == result.key_pairs
            assert (await api.user_api.get_logged_user()).id == result.user_id
    assert len(await tokens_of(sandbox, process.login)) == 2
    lines = requests.take()
    assert not [line for line in lines if "/rest/v1/" in line]


async def test_a_patient_without_a_name_registers(
    sandbox: Sandbox, key_storage: MemoryKeyStorage
) -> None:
    """The stub with its key says nothing of names, which backends want in patients."""
    builder = anonymous_builder_for(sandbox).with_flavour("cardinal").with_key_storage(key_storage)
    async with builder.build() as anonymous:
        process = await anonymous.authentication_api.start_authentication(
            phone_number=PHONE, healthcare_professional_id=sandbox.master_hcp.data_owner_id
        )
        code = await sandbox.wait_for_code(PHONE)
        result = await anonymous.authentication_api.complete_authentication(process, code)
    async with result.med_tech_api as api:
        await assert_can_work(api)
        await api.patient_api.get_patient(result.data_owner_id)


async def test_after_a_death_the_next_call_finishes_the_job(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Killed at one moment, cancelled at the next."""
    points: set[str] = set()
    survived = 0
    for number in itertools.count():
        device = DeviceOfToday(sandbox, tmp_path)
        process, code = await device.start()
        fate = Fate(number, cancelled=number % 2 == 1)
        point = await device.die(process, code, fate)
        assert len(await device.published_keys()) <= 1
        if point is None:
            await device.assert_whole(1)
            survived += 1
            if survived > 8:
                break
            # Runs differ: some have fewer moments, and some things a program can do without.
            continue
        points.add(point.partition("?")[0])
        try:
            await device.complete(process, code)
        except CodeExpiredError:
            # Nothing was left to be done but to hand over the result: that needs a new code.
            assert point.startswith("after remove_item")
        await device.assert_whole(1)
    for request in ("PUT /rest/v2/dataowner/stub", "POST /rest/v2/exchangedata", "PUT /rest/v2/p"):
        assert any(request in point for point in points), points
