"""Records that belong to a patient, as today's clients have them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import attrs
import pytest

from icure_async import MedTechApi
from icure_async.entities.kinds import EntityKind
from icure_async.entities.manifests import HEALTH_ELEMENT_MANIFEST
from icure_async.entities.metadata import Parent
from icure_async.entities.repository import Repository
from icure_async.entities.shares import Shares
from icure_async.errors import ValidationError
from icure_async.models.base import EntityModel
from icure_async.models.system_meta_data import SystemMetaDataEncrypted
from icure_async.sandbox import Sandbox
from tests.support.cardinal_sandbox import TodayWorld, of_stage, owner_of
from tests.support.request_log import RequestLog
from tests.support.seeds import Json

ROBB: Final = "4449666c-53f6-583f-9a89-0119613666f0"
CONDITION: Final = "01106835-f1ab-5390-b2a5-5e292f115a54"


@attrs.define(kw_only=True, repr=False)
class _Members(EntityModel):
    descr: str | None = None
    note: str | None = None
    created: int | None = None
    modified: int | None = None
    author: str | None = None
    responsible: str | None = None
    system_meta_data: SystemMetaDataEncrypted | None = attrs.field(
        default=None, metadata={"flat": True}
    )


@attrs.define(kw_only=True, repr=False)
class Condition(_Members):
    """A condition that can be read."""


@attrs.define(kw_only=True, repr=False)
class EncryptedCondition(_Members):
    """A condition that no key opens."""


CONDITIONS: Final = EntityKind(
    noun="condition",
    wire_class="org.taktik.icure.entities.HealthElement",
    route="helement",
    clear=Condition,
    sealed=EncryptedCondition,
    secure_type="HealthElement",
    encrypted=HEALTH_ELEMENT_MANIFEST.members,
    encrypted_in=HEALTH_ELEMENT_MANIFEST.inside,
    of_today=HEALTH_ELEMENT_MANIFEST,
    shared_on_creation=("all",),
    has_parent=True,
)


@pytest.fixture
async def today(client_session: aiohttp.ClientSession) -> AsyncIterator[TodayWorld]:
    async with Sandbox(seed=of_stage("3-more-entities"), profile="strict") as running:
        yield TodayWorld(running, client_session)


def conditions_of(api: MedTechApi) -> Repository[Condition, EncryptedCondition]:
    return api._parts.repository(CONDITIONS, api._parts.patients.metadata)


async def parent_of(api: MedTechApi, patient_id: str = ROBB) -> Parent:
    patients = api._parts.patients
    document = await patients.read(patient_id)
    return Parent(patient_id, await patients.metadata.secret_ids_of(document))


async def test_a_condition_of_another_client_is_read(today: TodayWorld) -> None:
    for name in ("doc1", "doc2"):
        read = await conditions_of(await today.user(name)).get(CONDITION)
        assert (read.descr, read.note) == ("made-up condition", "he note")


async def test_a_condition_belongs_to_its_patient_and_only_readers_know_to_whom(
    today: TodayWorld, requests: RequestLog
) -> None:
    doc1 = await today.user("doc1")
    conditions, parent = conditions_of(doc1), await parent_of(doc1)
    condition = await conditions.create(Condition(descr="SECRET", note="n"), parent=parent)
    stored = await today.stored(condition.id, "helement")
    assert stored["secretForeignKeys"] == list(parent.secret_ids)
    assert ROBB not in str(stored)
    read = await today.read_by("doc1", condition.id, "helement")
    assert read is not None
    assert read["descr"] == "SECRET"

    assert isinstance(condition, Condition)
    shares = Shares(conditions, crypto=doc1._parts.patients._crypto, own=doc1._parts.own_document)
    requests.take()
    shared = await shares.give(condition, owner_of("doc2"))
    assert requests.take()[-1] == "PUT /rest/v2/helement/bulkSharedMetadataUpdate"
    doc2 = await today.user("doc2")
    assert await conditions_of(doc2).get(condition.id) == shared
    delegations: Json = (await today.stored(condition.id, "helement"))["securityMetadata"]
    assert [len(one["owningEntityIds"]) for one in delegations["secureDelegations"].values()] == [
        1,
        1,
    ]
    # A record of which nothing is missing is changed and shared without another look.
    changed = await conditions.modify(shared.evolve(note="m"))
    assert requests.take()[-1] == "PUT /rest/v2/helement"
    assert changed.note == "m"
    access = await doc1.patient_api.give_access_to_all_data_of(ROBB, owner_of("doc2"))
    assert access.healthcare_elements.shared_before == 2
    assert (await today.audit()).problems == []


async def test_a_parent_is_named_for_what_has_one_and_for_nothing_else(today: TodayWorld) -> None:
    doc1 = await today.user("doc1")
    with pytest.raises(ValidationError, match="belongs to another record"):
        await conditions_of(doc1).create(Condition(descr="x"))
    patients = doc1._parts.patients
    with pytest.raises(ValidationError, match="belongs to no other record"):
        await patients.create(patients.kind.clear(first_name="x"), parent=Parent("p", ["s"]))
