"""A kind of record that the SDK does not have, made of its model and a row."""

import attrs
import pytest

from icure_async import Address, MedTechApi, Patient, PatientFilter
from icure_async.entities.kinds import PATIENT, EntityKind
from icure_async.entities.repository import Repository
from icure_async.errors import (
    ConflictError,
    CryptoError,
    DecryptionError,
    NotFoundError,
    ValidationError,
)
from icure_async.models.base import EntityModel
from icure_async.models.filters import Filter
from icure_async.models.system_meta_data import SystemMetaDataEncrypted
from icure_async.sandbox import Sandbox
from tests.support.golden_sandbox import Opener
from tests.support.request_log import RequestLog
from tests.support.seeds import Json


@attrs.define(kw_only=True, repr=False)
class _Members(EntityModel):
    first_name: str | None = None
    lives: int | None = None
    created: int | None = None
    modified: int | None = None
    author: str | None = None
    responsible: str | None = None
    system_meta_data: SystemMetaDataEncrypted | None = None


@attrs.define(kw_only=True, repr=False)
class Cat(_Members):
    """A cat that can be read."""


@attrs.define(kw_only=True, repr=False)
class EncryptedCat(_Members):
    """A cat that no key opens."""


# Stored among the patients, since the sandbox has no cats.
CAT = EntityKind(
    noun="cat",
    wire_class="org.taktik.icure.entities.Patient",
    route="patient",
    clear=Cat,
    sealed=EncryptedCat,
    encrypted=("lives",),
    shared_on_creation=("all",),
)

Cats = Repository[Cat, EncryptedCat]


@attrs.frozen
class CatsByIds(Filter):
    ids: list[str]

    def to_wire(self, data_owner_id: str) -> Json:
        return {"$type": "PatientByIdsFilter", "ids": self.ids}

    def entities(self) -> frozenset[str]:
        return frozenset({"cat"})


def cats_of(api: MedTechApi) -> Cats:
    patients = api.patient_api._patients
    return api._parts.repository(CAT, patients.metadata)


async def test_a_third_kind_is_created_read_modified_listed_and_deleted(
    opener: Opener, sandbox: Sandbox
) -> None:
    cats = cats_of(await opener.golden("hcp"))
    tom = await cats.save(Cat(first_name="Tom", lives=9))
    stored = (await sandbox.export())["entities"]["patient"][tom.id]
    assert "lives" not in stored
    assert stored["encryptedSelf"]
    assert await cats.get(tom.id) == tom

    tom.lives = 8
    tom = await cats.save(tom)
    others = [await cats.save(Cat(first_name="Kit", lives=number)) for number in range(5)]
    everybody = [tom, *others]
    ids = [cat.id for cat in everybody]
    assert await cats.get_many(ids) == everybody
    found = [cat async for cat in cats.find(CatsByIds(ids), 2)]
    assert sorted(found, key=lambda cat: ids.index(cat.id)) == everybody

    assert await cats.delete(tom.id) == tom.id
    assert (await sandbox.export())["entities"]["patient"][tom.id]["deletionDate"]
    with pytest.raises(NotFoundError, match="Could not delete cat none"):
        await cats.delete("none")


async def test_a_third_kind_has_the_safety_of_the_others(opener: Opener, world: Json) -> None:
    cats, user = cats_of(await opener.golden("hcp")), world["users"]["hcp"]
    # A device without the key pair.
    keyless = cats_of(await opener.plain(user["login"], user["token"]))
    new = Cat(first_name="Tom", lives=9)
    tom = await cats.save(new)
    # An answer that got lost.
    assert await cats.save(new) == tom
    changed = tom.evolve(lives=8)
    await cats.save(changed)
    saved = await cats.save(changed)
    assert saved.lives == 8
    with pytest.raises(ConflictError, match=f"Cat {tom.id}"):
        await cats.save(tom.evolve(lives=7))

    unreadable = await keyless.get_and_try_decrypt(tom.id)
    assert isinstance(unreadable, EncryptedCat)
    by_hand = Cat(id=saved.id, rev=saved.rev, first_name="Kit", lives=1)
    with pytest.raises(DecryptionError, match=f"Cat {tom.id}"):
        await keyless.save(by_hand)
    kept = await keyless.modify(unreadable.evolve(first_name="Kit"), keep_unreadable=True)
    assert (kept.first_name, (await cats.get(tom.id)).lives) == ("Kit", 8)
    with pytest.raises(ValidationError, match="lives"):
        await cats.save(Cat(first_name="Tom", lives="nine"))  # type: ignore[arg-type]


async def test_many_are_prepared_at_a_time_and_one_that_cannot_be_is_told_apart(
    opener: Opener, requests: RequestLog
) -> None:
    patients = (await opener.golden("hcp")).patient_api._patients
    copied = Address(city="Ghent", unknown_fields={"encryptedSelf": "AAAA"})
    records = [Patient(first_name=f"N{number}", note=f"note {number}") for number in range(50)]
    records[7].addresses = [copied]
    await patients.prepare(records[:1])
    requests.take()
    prepared = await patients.prepare(records)
    # The user's sharing may be asked for again, and nothing else.
    assert set(requests.take()) <= {"GET /rest/v1/user/current"}
    refused = [index for index, sealed in enumerate(prepared) if isinstance(sealed, CryptoError)]
    assert refused == [7]
    assert "copied from" in str(prepared[7])
    entities = patients._entities
    for index, sealed in enumerate(prepared):
        if not isinstance(sealed, CryptoError):
            assert (sealed["id"], "note" in sealed) == (records[index].id, False)
            opened = await entities.open(sealed)
            assert opened is not None
            assert opened.document["note"] == f"note {index}"


async def test_a_filter_on_a_member_that_is_encrypted_here_is_refused(
    opener: Opener, requests: RequestLog
) -> None:
    api = await opener.golden("hcp")
    kind = attrs.evolve(PATIENT, encrypted=("note", "lastName"))
    patients = api._parts.repository(kind, api.patient_api._patients.metadata)
    stark = PatientFilter().contains_fuzzy("stark").build()
    requests.take()
    with pytest.raises(ValidationError, match="searches last_name"):
        patients.find(stark, 10)
    with pytest.raises(ValidationError, match="searches last_name"):
        await patients.match(~stark)
    assert requests.take() == []
    assert await patients.match(PatientFilter().by_ids([]).build()) == []
