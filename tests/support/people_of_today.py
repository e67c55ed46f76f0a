"""People who work with today's iCure on a sandbox, each with a device of its own."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import attrs
import pytest

from icure_async import AuthenticationResult, KeyPair, MedTechApi
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage, MemoryStorage
from tests.support.builders import anonymous_builder_for, builder_for

_numbers = itertools.count(471_000_000)


@attrs.define
class Device:
    """The state and the keys of one device."""

    keys: MemoryKeyStorage = attrs.field(factory=MemoryKeyStorage)
    state: MemoryStorage = attrs.field(factory=MemoryStorage)


@attrs.define(kw_only=True)
class Person:
    """Somebody with a login.

    Attributes:
        login: user name.
        secret: password or token.
        owner_id: id of the data owner.
        key_pair: the newest one.
        device: where the person works.
    """

    login: str
    secret: str
    owner_id: str
    key_pair: KeyPair
    device: Device = attrs.field(factory=Device)


class Town:
    """The people of one sandbox, all of whose requests go into the log of the test."""

    def __init__(
        self,
        sandbox: Sandbox,
        client_session: aiohttp.ClientSession,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        self.sandbox = sandbox
        self._session = client_session
        self._stack = stack

    @property
    def master(self) -> Person:
        """The professional who invites patients, on a new device."""
        master = self.sandbox.master_hcp
        return Person(
            login=master.login,
            secret=master.password,
            owner_id=master.data_owner_id,
            key_pair=master.key_pair,
        )

    async def registered(
        self, *, professional: bool = False, flavour: Flavour = "cardinal"
    ) -> tuple[Person, MedTechApi]:
        """Somebody new, and its API."""
        phone = f"+32{next(_numbers)}"
        device = Device()
        result = await self.logged_in(phone, device, professional=professional, flavour=flavour)
        person = Person(
            login=phone,
            secret=result.token,
            owner_id=result.data_owner_id,
            key_pair=result.key_pairs[0],
            device=device,
        )
        return person, result.med_tech_api

    async def logged_in(
        self,
        phone: str,
        device: Device,
        *,
        professional: bool = False,
        flavour: Flavour = "cardinal",
    ) -> AuthenticationResult:
        """Somebody after a registration or login by SMS."""
        builder = (
            anonymous_builder_for(self.sandbox, professional=professional)
            .with_flavour(flavour)
            .with_client_session(self._session)
            .with_key_storage(device.keys)
            .with_storage(device.state)
        )
        async with builder.build() as anonymous:
            process = await anonymous.authentication_api.start_authentication(
                phone_number=phone,
                first_name="Arya",
                last_name="Stark",
                healthcare_professional_id=self.sandbox.master_hcp.data_owner_id,
                recaptcha_type="kerberus",
            )
            code = await self.sandbox.wait_for_code(phone)
            result = await anonymous.authentication_api.complete_authentication(process, code)
        self._stack.push_async_callback(result.med_tech_api.aclose)
        return result

    async def opened(
        self, person: Person, *, flavour: Flavour = "cardinal", keys: bool = True, **options: Any
    ) -> MedTechApi:
        """A person's API, on its device; the key pair is given where the device lacks it."""
        api = await (
            builder_for(self.sandbox.icure_url, person.login, person.secret)
            .with_flavour(flavour)
            .with_client_session(self._session)
            .with_key_storage(person.device.keys)
            .with_storage(person.device.state)
            .build()
        )
        self._stack.push_async_callback(api.aclose)
        if keys:
            has_keys = await person.device.keys.list_key_pairs(person.owner_id)
            await api.init_user_crypto(None if has_keys else person.key_pair, **options)
        return api


@pytest.fixture
async def town(sandbox: Sandbox, client_session: aiohttp.ClientSession) -> AsyncIterator[Town]:
    """A sandbox with a professional who invites people."""
    async with contextlib.AsyncExitStack() as stack:
        yield Town(sandbox, client_session, stack)
