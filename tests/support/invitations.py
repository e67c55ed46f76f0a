"""A professional who invites her patients on a sandbox, and the patients she invites."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any

import aiohttp
import attrs
import pytest

from icure_async import (
    Address,
    AnonymousMedTechApiBuilder,
    AuthenticationResult,
    ICureRegistrationEmail,
    ICureRegistrationSMS,
    KeyStorage,
    MedTechApi,
    MedTechApiBuilder,
    Patient,
    Storage,
    Telecom,
)
from icure_async.models import AddressType
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox

Json = dict[str, Any]

EMAIL = "arya@winterfell.example"
PHONE = "+32470123456"
PASSWORD = "correct horse battery staple"
NOTE = "A girl has no name"
INVITER = Patient(
    last_name="Luwin",
    addresses=[
        Address(telecoms=[Telecom(telecom_type="email", telecom_number="luwin@clinic.example")])
    ],
)


def address(kind: AddressType | None = "home", **numbers: str) -> Address:
    """An address with an ``email``, a ``mobile`` or both."""
    telecoms = [
        Telecom(telecom_type=name, telecom_number=number)  # type: ignore[arg-type]
        for name, number in numbers.items()
    ]
    return Address(address_type=kind, telecoms=telecoms)


def by_email(patient: Patient) -> ICureRegistrationEmail:
    return ICureRegistrationEmail(INVITER, "https://app.example/login", "Maester", patient)


def by_sms(patient: Patient) -> ICureRegistrationSMS:
    return ICureRegistrationSMS(INVITER, "https://app.example/login", "Maester", patient)


def token_in(message: Json) -> str:
    """The token in a message of the reference's form."""
    return str(message.get("html") or message["message"]).rpartition(" & ")[2]


@attrs.define
class Clinic:
    """The professional and the sandbox that she works on.

    Attributes:
        sandbox: the sandbox.
        hcp: the professional's API, with her key pair in use.
        builder: builds APIs for users, with the gateway.
        anonymous: builds APIs for those who log in for the first time.
    """

    sandbox: Sandbox
    hcp: MedTechApi
    builder: Callable[[str, str], MedTechApiBuilder]
    anonymous: Callable[[], AnonymousMedTechApiBuilder]

    @property
    def hcp_id(self) -> str:
        return self.sandbox.master_hcp.data_owner_id

    async def patient(self, *addresses: Address, **members: Any) -> Patient:
        """A new patient of hers."""
        patient = Patient(
            **{
                "first_name": "Arya",
                "last_name": "Stark",
                "note": NOTE,
                "addresses": list(addresses) or [address(email=EMAIL)],
                **members,
            }
        )
        return await self.hcp.patient_api.create_or_modify_patient(patient)

    async def invited(self, email: str = EMAIL, *, validity: timedelta | None = None) -> str:
        """Invite a new patient by email, and return the token in the message."""
        patient = await self.patient(address(email=email))
        options = (validity,) if validity else ()
        await self.hcp.user_api.create_and_invite_user(patient, by_email(patient), *options)
        return await self.token(email)

    async def token(self, contact: str = EMAIL) -> str:
        """The token in the newest message."""
        return token_in(await self.sandbox.wait_for_message(contact))

    @contextlib.asynccontextmanager
    async def logged_in(
        self,
        token: str,
        login: str = EMAIL,
        *,
        keys: KeyStorage | None = None,
        storage: Storage | None = None,
    ) -> AsyncIterator[AuthenticationResult]:
        """The invited patient after its first login."""
        builder = self.anonymous()
        if keys is not None:
            builder.with_key_storage(keys)
        if storage is not None:
            builder.with_storage(storage)
        async with builder.build() as anonymous:
            api = anonymous.authentication_api
            result = await api.authenticate_and_ask_access_to_its_existing_data(login, token)
        async with result.med_tech_api:
            yield result

    @contextlib.asynccontextmanager
    async def colleague(
        self, session: aiohttp.ClientSession, name: str, *, with_keys: bool = True
    ) -> AsyncIterator[tuple[MedTechApi, str]]:
        """Another professional, with her key pair in use, and her id."""
        hcp_id = f"hcp-{name}"
        await self.add(session, "hcparty", {"id": hcp_id, "firstName": name, "lastName": "M"})
        await self.add_user(
            session,
            {"login": name, "passwordHash": PASSWORD, "healthcarePartyId": hcp_id},
        )
        async with self.builder(name, PASSWORD).with_in_memory_keys().build() as api:
            if with_keys:
                await api.init_user_crypto()
            yield api, hcp_id

    async def add_user(self, session: aiohttp.ClientSession, user: Json) -> None:
        """Create a user as an administrator does."""
        await self.add(session, "user", {"id": f"user-{user['login']}", **user})

    async def add(self, session: aiohttp.ClientSession, kind: str, document: Json) -> None:
        """Create a document as an administrator does."""
        master = self.sandbox.master_hcp
        async with session.post(
            f"{self.sandbox.icure_url}/{kind}",
            json=document,
            headers={"Authorization": aiohttp.encode_basic_auth(master.login, master.password)},
        ) as answer:
            assert answer.status == 200, await answer.text()

    async def tasks(self) -> list[Json]:
        """All notifications as they are stored."""
        entities = (await self.sandbox.export())["entities"]
        return list(entities.get("maintenancetask", {}).values())

    async def users_of(self, patient: Patient) -> Sequence[Json]:
        """All users of a patient as they are stored."""
        users = (await self.sandbox.export())["entities"]["user"].values()
        return [user for user in users if user.get("patientId") == patient.id]


@pytest.fixture
async def clinic(
    sandbox: Sandbox,
    builder: Callable[[str, str], MedTechApiBuilder],
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    flavour: Flavour,
) -> AsyncIterator[Clinic]:
    def anonymous() -> AnonymousMedTechApiBuilder:
        return anonymous_builder().with_flavour(flavour)

    def with_gateway(login: str, password: str) -> MedTechApiBuilder:
        return (
            builder(login, password)
            .with_flavour(flavour)
            .with_msg_gw_url(sandbox.msg_gw_url)
            .with_msg_gw_spec_id(sandbox.spec_id)
        )

    master = sandbox.master_hcp
    async with with_gateway(master.login, master.password).build() as hcp:
        await hcp.init_user_crypto(master.key_pair)
        yield Clinic(sandbox, hcp, with_gateway, anonymous)
