"""Events of our sandbox as the reference hears them, next to our own subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icure_async import Event, KeyPair, Patient, Reconnected, Reconnection
from tests.support.our_sdk import sdk
from tests.support.reference_steps import log_in_as_master

if TYPE_CHECKING:
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import ReferenceSdk

pytestmark = pytest.mark.interop


async def test_both_hear_of_what_both_write(sandbox: Sandbox, reference: ReferenceSdk) -> None:
    await log_in_as_master(reference, sandbox)
    master = sandbox.master_hcp
    at_once = Reconnection(first_wait=0)
    async with sdk(sandbox, master.login, master.password) as api:
        key_pair = master.key_pair
        await api.init_user_crypto(KeyPair(key_pair.public_key, key_pair.private_key))
        patients = api.patient_api
        await reference.subscribe_to_patients(["CREATE", "UPDATE"])
        async with patients.subscribe_to_patient_events(
            ["CREATE", "UPDATE"], reconnection=at_once
        ) as events:
            theirs = await reference.create_patient(firstName="Jon", lastName="Snow", note="theirs")
            item = await events.get(5)
            assert isinstance(item, Event)
            assert isinstance(item.record, Patient)
            assert (item.record.id, item.record.note) == (theirs["id"], "theirs")
            ours = await patients.create_or_modify_patient(
                Patient(first_name="Ned", last_name="Stark", note="ours")
            )
            assert await events.get(5) == Event(record=ours)

            # Everybody is disconnected, and comes back with a new token.
            await sandbox.disconnect_subscribers()
            assert isinstance(await events.get(5), Reconnected)
            await reference.wait_for_connection(2)
            changed = await patients.create_or_modify_patient(ours.evolve(note="changed"))
            assert await events.get(5) == Event(record=changed)
        heard = await reference.heard_of(3)
    assert [(patient["id"], patient["rev"]) for patient in heard] == [
        (theirs["id"], theirs["rev"]),
        (ours.id, ours.rev),
        (changed.id, changed.rev),
    ]
    assert [patient.get("note") for patient in heard] == ["theirs", "ours", "changed"]
