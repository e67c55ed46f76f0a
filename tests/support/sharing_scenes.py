"""A program that shares a patient, and the checks that the share is whole."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from icure_async import KeyPair, Patient
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox
from tests.support.aftermath import State
from tests.support.attacker import Attacker
from tests.support.cardinal_world import Reader, audit
from tests.support.fault_scenes import LATER_NOTE, Place, Program

Json = dict[str, Any]

ENTRIES = ("delegations", "encryptionKeys")


async def add_delegate(sandbox: Sandbox, key_pair: KeyPair, flavour: Flavour = "medtech") -> str:
    """Add a professional who has published a key to a sandbox; return its id."""
    delegate_id = str(uuid4())
    published: Json = {"publicKey": key_pair.public_key}
    if flavour == "cardinal":
        published = {"publicKeysForOaepWithSha256": [key_pair.public_key]}
    document = {
        "id": delegate_id,
        "rev": "1-a",
        "firstName": "Howland",
        "lastName": "Reed",
        "created": 1,
        "modified": 1,
        **published,
    }
    await sandbox._open_store.run(lambda tx: tx.put("hcparty", document))
    return delegate_id


async def check_shared(
    sandbox: Sandbox, before: Json, delegate_id: str, key_pair: KeyPair, note: str
) -> None:
    """Check that a delegate can read a patient, who has changed in nothing else.

    Args:
        sandbox: where it is.
        before: the patient as it was stored.
        delegate_id: the delegate.
        key_pair: of the delegate.
        note: of the patient.
    """
    database = await sandbox.export()
    now = database["entities"]["patient"][before["id"]]
    for name in before.keys() - {"rev", *ENTRIES}:
        assert now[name] == before[name], f"{name} is another one"
    for name in ENTRIES:
        given = now[name].get(delegate_id, [])
        assert len(given) == 1, f"{len(given)} entries of {name} are for the delegate"
        assert now[name] == before[name] | {delegate_id: given}, f"{name} of others are others"
    # A reader of its own, with nothing but the delegate's key.
    content = Attacker(private_keys=[key_pair.private_key]).reads(database, before["id"])
    assert content == {"note": note}, "the delegate can't read it"


async def check_shared_today(
    sandbox: Sandbox,
    before: Json,
    delegate_id: str,
    key_pair: KeyPair,
    note: str,
    *,
    exchange_data_at_most: int = 1,
) -> None:
    """Check that a delegate can read a patient in today's flavour, see :func:`check_shared`."""
    entities = (await sandbox.export())["entities"]
    now = entities["patient"][before["id"]]
    same = before.keys() - {"rev", "securityMetadata"}
    assert {name: now[name] for name in same} == {name: before[name] for name in same}
    had = before["securityMetadata"]["secureDelegations"]
    has = now["securityMetadata"]["secureDelegations"]
    assert {name: has[name] for name in had} == had, "delegations of others are others"
    (given,) = has.keys() - had.keys()
    assert has[given]["delegate"] == delegate_id
    exchange_data = [
        data for data in entities["exchangedata"].values() if data["delegate"] == delegate_id
    ]
    times = len(exchange_data)
    assert 1 <= times <= exchange_data_at_most, f"{times} exchange data are for the delegate"
    assert audit(entities, [key_pair.private_key]).problems == []
    content = Reader(entities, key_pair.private_key).read("patient", before["id"])
    assert content is not None, "the delegate can't read it"
    assert content["note"] == note


class SharingProgram(Program):
    """Logs in with the token on the device that has the key, and shares a patient."""

    def __init__(self, first: Program, patient: Json, delegate_id: str, reader: KeyPair) -> None:
        """Set up a program.

        Args:
            first: the one that has registered the user.
            patient: to be shared, as it is stored.
            delegate_id: whom to share with.
            reader: the delegate's key pair.
        """
        super().__init__(first.place, first.phone, first.folder)
        self.result = first.result
        self._before = patient
        self._delegate_id = delegate_id
        self._reader = reader

    async def run(self) -> list[str]:
        assert self.result is not None
        builder = (
            self.place.builder_for(self.phone, self.result.token)
            .with_crypto(self.place.crypto([]))
            .with_storage_directory(self.folder)
            .with_client_session(self.place.session)
            .with_timeout(self.timeout)
        )
        async with builder.build() as api:
            await api.init_user_crypto()
            patient = await api.patient_api.get_patient(self._before["id"])
            await api.patient_api.give_access_to(patient, self._delegate_id)
        return []

    async def check(self, before: State, *, delegates: set[str]) -> None:
        place = self.place
        now = await place.state(self.phone)
        shared = (place.sandbox, self._before, self._delegate_id, self._reader, LATER_NOTE)
        if place.flavour == "medtech":
            await check_shared(*shared)
            self._check_keys(before.owner, now.owner)
        else:
            await check_shared_today(*shared, exchange_data_at_most=self.made_at_most)
        # Repeated, it sends nothing.
        place.forget()
        assert await self.run() == []
        assert not [line for line in place.requests if line.startswith("PUT")]

    def _check_keys(self, before: Json, now: Json) -> None:
        """Check that one exchange key was added to those of the user, and none is another one."""
        (level,) = before["aesExchangeKeys"]
        present, keys = before["aesExchangeKeys"][level], now["aesExchangeKeys"][level]
        assert keys.keys() == {*present, self._delegate_id}, "exchange keys are lost or too many"
        assert all(keys[name] == key for name, key in present.items()), "an exchange key changed"
        assert now["hcPartyKeys"].keys() == keys.keys()


async def next_patient(place: Place, first: Program) -> Json:
    """Have the user of a program create a patient; return it as it is stored."""
    assert first.result is not None
    saved = await first.result.med_tech_api.patient_api.create_or_modify_patient(
        Patient(first_name="Robb", last_name="Stark", note=LATER_NOTE)
    )
    stored = await place.sandbox.stored("patient", saved.id)
    assert stored is not None
    return stored
