"""Today's public keys stay published, whatever is cut off from what is read before a change.

Nothing of them is there twice, as it is with the keys of 2023.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from icure_async import MedTechApi, Patient
from icure_async.errors import ICureError
from tests.support.builders import builder_for
from tests.support.json_proxy import Exchange, Proxy
from tests.support.people_of_today import Person, Town, town

__all__ = ["town"]

KEYS = "publicKeysForOaepWithSha256"

cut = pytest.mark.parametrize("kept", [None, [], ["x"]], ids=["missing", "empty", "another"])


def cutting(kept: object) -> Any:
    async def change(exchange: Exchange) -> None:
        assert exchange.answer.pop(KEYS)
        if kept is not None:
            exchange.answer[KEYS] = kept

    return change


async def through(proxy: Proxy, person: Person, town: Town) -> MedTechApi:
    """A person's API on its device, through a proxy."""
    api = await (
        builder_for(proxy.url, person.login, person.secret)
        .with_flavour("cardinal")
        .with_client_session(town._session)
        .with_key_storage(person.device.keys)
        .with_storage(person.device.state)
        .build()
    )
    town._stack.push_async_callback(api.aclose)
    await api.init_user_crypto()
    return api


async def published(town: Town, kind: str, owner_id: str) -> list[str]:
    stored = await town.sandbox.stored(kind, owner_id)
    assert stored is not None
    keys: list[str] = stored[KEYS]
    return keys


async def change_patient(api: MedTechApi, patient_id: str) -> Patient:
    patient = await api.patient_api.get_patient(patient_id)
    patient.profession = "warden"
    return await api.patient_api.create_or_modify_patient(patient)


@cut
async def test_those_of_a_patient_who_changes_its_own_record(town: Town, kept: object) -> None:
    person, _ = await town.registered()
    before = await published(town, "patient", person.owner_id)
    async with Proxy(town.sandbox) as proxy:
        api = await through(proxy, person, town)
        proxy.after(f"GET /patient/{person.owner_id}", cutting(kept))
        with contextlib.suppress(ICureError):
            await change_patient(api, person.owner_id)
    assert (
        await published(town, "patient", person.owner_id) == before == [person.key_pair.public_key]
    )


@cut
async def test_those_of_a_patient_whose_record_others_change(town: Town, kept: object) -> None:
    professional, _ = await town.registered(professional=True)
    person, api = await town.registered()
    own = await api.patient_api.get_patient(person.owner_id)
    await api.patient_api.give_access_to(own, professional.owner_id)
    before = await published(town, "patient", person.owner_id)
    async with Proxy(town.sandbox) as proxy:
        api = await through(proxy, professional, town)
        proxy.after(f"GET /patient/{person.owner_id}", cutting(kept))
        with contextlib.suppress(ICureError):
            await change_patient(api, person.owner_id)
    assert await published(town, "patient", person.owner_id) == before


@cut
async def test_those_of_a_professional_who_changes_its_own_record(town: Town, kept: object) -> None:
    person, _ = await town.registered(professional=True)
    before = await published(town, "hcparty", person.owner_id)
    async with Proxy(town.sandbox) as proxy:
        api = await through(proxy, person, town)
        professionals = api.healthcare_professional_api
        proxy.after(f"GET /hcparty/{person.owner_id}", cutting(kept))
        with contextlib.suppress(ICureError):
            own = await professionals.get_healthcare_professional(person.owner_id)
            own.last_name = "Renamed"
            await professionals.create_or_modify_healthcare_professional(own)
    assert await published(town, "hcparty", person.owner_id) == before
