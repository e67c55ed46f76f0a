"""Flows in which an answer is changed, and the rules that must hold afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar, Self
from uuid import uuid4

import aiohttp
import attrs

from icure_async import (
    AnonymousMedTechApiBuilder,
    AuthenticationProcess,
    AuthenticationResult,
    Content,
    DataSample,
    HealthcareElement,
    KeyPair,
    MedTechApi,
    Notification,
    Patient,
    Property,
    PropertyType,
    TypedValueObject,
)
from icure_async.crypto.software import SoftwareCrypto
from icure_async.entities.secure_delegations import secure_delegations_of
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage, MemoryStorage
from tests.support.attacker import Attacker
from tests.support.builders import anonymous_builder_for, builder_for
from tests.support.cardinal_world import Reader, audit
from tests.support.invitations import address, by_email, token_in
from tests.support.mutations import Case, Mutator
from tests.support.sharing_scenes import add_delegate
from tests.support.shortcuts import HandedOutCrypto

Json = dict[str, Any]

PHONE = "+32588235595"
NOTE = "You must keep one's head"
NEW_NOTE = "You must keep one's head, and the other's"
HIDDEN_NOTE = "Nobody else's business"
INVITED = "arya@winterfell.example"
INVITABLE = "bran@winterfell.example"
WORDS = "The crow flies at midnight"
SAID = "A cold from the walk on the Wall"
NEW_SAID = "A cold from the walk on the Wall, and gout"
BYTES = b"a portrait of Ned " * 8

_NAMES = {"firstName", "lastName", "names", "alias", "maidenName"}
_WRITTEN_BY_SERVER = {"rev", "modified"}
# The audit looks at it, since it covers keys that are added.
_AUDITED = {"sharedSignature"}


def words(text: str) -> list[Property]:
    kind = PropertyType(type="STRING")
    value = TypedValueObject(type="STRING", string_value=text)
    return [Property(id="words", type=kind, typed_value=value)]


@attrs.frozen
class ClinicalIds:
    """The ids of Ned's clinical records: two samples of a batch, the first with a document."""

    condition: str
    sample: str
    sibling: str
    document: str


@attrs.define
class World:
    """A stage: the whole sandbox, and who is there.

    The members after the flavour, in which everybody works, are of the stages with an invited
    patient: its id, the token that it was sent and its request; and the id of a patient who may be
    invited.
    """

    seed: Json
    master_password: str
    master_pair: KeyPair
    master_login: str
    hcp_id: str
    reed_id: str
    ned_id: str
    token: str
    key_pairs: list[KeyPair]
    shared_id: str
    hidden_id: str
    pending_ids: list[str]
    clinical: ClinicalIds
    flavour: Flavour = "medtech"
    invited_id: str = ""
    invitation: str = ""
    invited_token: str = ""
    request_id: str = ""
    invitable_id: str = ""

    @property
    def others(self) -> Json:
        return self.seed["entities"]  # type: ignore[no-any-return]


class Place:
    """A sandbox that starts with a stage, and programs that ask it."""

    def __init__(
        self,
        world: World | None,
        mutator: Mutator,
        parsed: SoftwareCrypto,
        pairs: list[KeyPair],
        flavour: Flavour = "medtech",
    ) -> None:
        self.world = world
        self.flavour: Flavour = world.flavour if world else flavour
        self.mutator = mutator
        self.pairs = pairs
        self._parsed = parsed
        self._stack = contextlib.AsyncExitStack()
        self.sandbox = Sandbox(seed=world.seed if world else None)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.sandbox)
        self.session = await self._stack.enter_async_context(aiohttp.ClientSession())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.mutator.disarm()
        await self._stack.aclose()

    async def keep(self, api: MedTechApi) -> MedTechApi:
        return await self._stack.enter_async_context(api)

    def anonymous(self, keys: MemoryKeyStorage, *pairs: KeyPair) -> AnonymousMedTechApiBuilder:
        sandbox = self.sandbox
        return (
            anonymous_builder_for(sandbox, flavour=self.flavour)
            .with_crypto(HandedOutCrypto(pairs, parsed=self._parsed))
            .with_key_storage(keys)
            .with_storage(MemoryStorage())
            .with_client_session(self.session)
        )

    async def api(
        self,
        login: str,
        password: str,
        pair: KeyPair | None = None,
        *,
        keys: MemoryKeyStorage | None = None,
    ) -> MedTechApi:
        sandbox = self.sandbox
        builder = (
            builder_for(sandbox.icure_url, login, password, flavour=self.flavour)
            .with_msg_gw_url(sandbox.msg_gw_url)
            .with_msg_gw_spec_id(sandbox.spec_id)
            .with_crypto(HandedOutCrypto([], parsed=self._parsed))
            .with_client_session(self.session)
        )
        if keys is not None:
            builder = builder.with_key_storage(keys).with_storage(MemoryStorage())
        api = await self.keep(await builder.build())
        if pair is not None:
            await api.init_user_crypto(pair)
        return api

    async def ned(self) -> MedTechApi:
        assert self.world is not None
        return await self.api(PHONE, self.world.token, self.world.key_pairs[0])

    async def hcp(self) -> MedTechApi:
        master = self.sandbox.master_hcp
        return await self.api(master.login, master.password, master.key_pair)

    async def first_login(self, keys: MemoryKeyStorage, token: str) -> AuthenticationResult:
        """Log in as the invited patient."""
        async with self.anonymous(keys, self.pairs[2]).build() as anonymous:
            api = anonymous.authentication_api
            result = await api.authenticate_and_ask_access_to_its_existing_data(INVITED, token)
        await self.keep(result.med_tech_api)
        return result

    async def log_in(
        self, keys: MemoryKeyStorage, *pairs: KeyPair, phone: str = PHONE
    ) -> AuthenticationResult:
        async with self.anonymous(keys, *pairs).build() as anonymous:
            process = await self.start(anonymous.authentication_api, phone)
            code = await self.sandbox.wait_for_code(phone)
            result = await anonymous.authentication_api.complete_authentication(process, code)
        await self.keep(result.med_tech_api)
        return result

    async def start(self, api: Any, phone: str) -> AuthenticationProcess:
        process: AuthenticationProcess = await api.start_authentication(
            "captcha",
            phone_number=phone,
            first_name="Ned",
            last_name="Stark",
            healthcare_professional_id=self.sandbox.master_hcp.data_owner_id,
        )
        return process


async def build_worlds(
    mutator: Mutator,
    parsed: SoftwareCrypto,
    pairs: list[KeyPair],
    flavour: Flavour = "medtech",
) -> dict[str, World]:
    """Live through what comes before the flows, once; invitations in the flavour of 2023 alone."""
    worlds: dict[str, World] = {}
    async with Place(None, mutator, parsed, pairs, flavour) as place:
        sandbox, master = place.sandbox, place.sandbox.master_hcp
        result = await place.log_in(MemoryKeyStorage(), pairs[0])
        ned, hcp = result.med_tech_api, await place.hcp()
        ned_id = str((await ned.user_api.get_logged_user()).patient_id)
        shared = await ned.patient_api.create_or_modify_patient(_robb(NOTE))
        hidden = await _hidden(place, result)
        await hcp.patient_api.create_or_modify_patient(Patient(first_name="Rickon", note=NOTE))
        pending = [
            str((await sender.notification_api.create_or_modify_notification(
                Notification(type="OTHER", properties=words(WORDS)), delegate=receiver
            )).id)
            for sender, receiver in ((hcp, ned_id), (hcp, ned_id), (ned, master.data_owner_id))
        ]  # fmt: skip
        clinical = await _clinical(ned, ned_id)
        reed_id = await add_delegate(sandbox, pairs[3], flavour)
        world = World(
            seed=await sandbox.export(),
            master_password=master.password,
            master_pair=master.key_pair,
            master_login=master.login,
            hcp_id=master.data_owner_id,
            reed_id=reed_id,
            ned_id=ned_id,
            token=result.token,
            key_pairs=[pairs[0]],
            shared_id=str(shared.id),
            hidden_id=hidden,
            pending_ids=pending,
            clinical=clinical,
            flavour=flavour,
        )
        worlds["base"] = world
        again = await place.log_in(MemoryKeyStorage(), pairs[1])
        assert all(notice.delivered for notice in again.key_notices)
        worlds["lost"] = attrs.evolve(
            world, seed=await sandbox.export(), token=again.token, key_pairs=pairs[:2]
        )
    if flavour == "medtech":
        worlds |= await _build_invited(worlds["base"], mutator, parsed, pairs)
    return worlds


async def _build_invited(
    base: World, mutator: Mutator, parsed: SoftwareCrypto, pairs: list[KeyPair]
) -> dict[str, World]:
    worlds: dict[str, World] = {}
    async with Place(base, mutator, parsed, pairs) as place:
        hcp = await place.hcp()
        invited, invitable = [
            await hcp.patient_api.create_or_modify_patient(
                Patient(first_name="Arya", note=NOTE, addresses=[address(email=email)])
            )
            for email in (INVITED, INVITABLE)
        ]
        await hcp.user_api.create_and_invite_user(invited, by_email(invited))
        token = token_in(await place.sandbox.wait_for_message(INVITED))
        world = attrs.evolve(
            base,
            seed=await place.sandbox.export(),
            invited_id=str(invited.id),
            invitable_id=str(invitable.id),
            invitation=token,
        )
        worlds["invited"] = world
        result = await place.first_login(MemoryKeyStorage(), token)
        (request,) = result.access_requests
        worlds["asked"] = attrs.evolve(
            world,
            seed=await place.sandbox.export(),
            invited_token=result.token,
            request_id=request.notification_id,
        )
    return worlds


async def _hidden(place: Place, result: AuthenticationResult) -> str:
    """Have a patient made that nobody else can read; return its id."""

    def share_with(delegates: list[str]) -> Any:
        def change(tx: Any) -> None:
            user = tx.get("user", result.user_id)
            tx.put("user", {**user, "autoDelegations": {"all": delegates}})

        return change

    store = place.sandbox._open_store
    await store.run(share_with([]))
    api = await place.api(PHONE, result.token, result.key_pairs[0])
    patient = Patient(first_name="Jon", last_name="Snow", note=HIDDEN_NOTE)
    hidden = await api.patient_api.create_or_modify_patient(patient)
    await store.run(share_with([place.sandbox.master_hcp.data_owner_id]))
    return str(hidden.id)


async def _clinical(ned: MedTechApi, ned_id: str) -> ClinicalIds:
    """Have Ned write records of himself, shared with the professional."""
    condition = await ned.healthcare_element_api.create_or_modify_healthcare_element(
        HealthcareElement(description=SAID), ned_id
    )
    sample, sibling = await ned.data_sample_api.create_or_modify_data_samples_for(
        ned_id, [_sample(SAID, str(condition.id)), _sample(SAID, str(condition.id))]
    )
    document = await ned.data_sample_api.set_data_sample_attachment(
        str(sample.id), BYTES, document_language="fr"
    )
    return ClinicalIds(str(condition.id), str(sample.id), str(sibling.id), str(document.id))


def _sample(text: str, *condition_ids: str) -> DataSample:
    return DataSample(
        id=str(uuid4()),
        content={"en": Content(string_value=text)},
        healthcare_element_ids=list(condition_ids),
    )


def _robb(note: str | None) -> Patient:
    return Patient(id=str(uuid4()), first_name="Robb", last_name="Stark", note=note)


class Flow:
    """A flow of the SDK in which one answer is changed.

    Attributes:
        stage: what the sandbox starts with.
        may_change: members that the flow is about, by kind and id.
    """

    stage: ClassVar[str] = "base"
    may_change: frozenset[str] = frozenset()

    def __init__(self, place: Place) -> None:
        assert place.world is not None
        self.place = place
        self.world = place.world
        self.created: Patient | None = None

    async def prepare(self) -> None:
        """Take the steps before the flow, of which no answer is changed."""

    async def run(self) -> None:
        """Run the flow, and check its outcome."""
        raise NotImplementedError

    def notes(self, patient_id: str) -> set[str | None]:
        """Return the notes that a patient may have afterwards."""
        return {HIDDEN_NOTE if patient_id == self.world.hidden_id else NOTE}

    async def check_device(self, published: set[str]) -> None:
        """Check that what was published is on the device, and works."""


class Reading(Flow):
    """Logging in with a token, and reading."""

    async def run(self) -> None:
        world = self.world
        ned = await self.place.ned()
        patient = await ned.patient_api.get_patient(world.shared_id)
        assert (patient.id, patient.note) == (world.shared_id, NOTE)
        patients = await ned.patient_api.get_patients([world.hidden_id, world.shared_id])
        assert [found.note for found in patients] == [HIDDEN_NOTE, NOTE]
        assert [found.id for found in patients] == [world.hidden_id, world.shared_id]
        user = await ned.user_api.get_logged_user()
        assert user.login == PHONE or user.login is None or self.place.mutator.struck


class _Prepared(Flow):
    async def prepare(self) -> None:
        self.api = await self.place.ned()


class Creation(_Prepared):
    """Creating a patient, whose user shares automatically."""

    async def run(self) -> None:
        self.created = _robb(NEW_NOTE)
        saved = await self.api.patient_api.create_or_modify_patient(self.created)
        assert (saved.id, saved.note) == (self.created.id, NEW_NOTE)

    def notes(self, patient_id: str) -> set[str | None]:
        if self.created is not None and patient_id == self.created.id:
            return {NEW_NOTE}
        return super().notes(patient_id)


class Modification(_Prepared):
    """Reading a patient and giving it another note."""

    may_change = frozenset({"encryptedSelf"})
    note: ClassVar[str | None] = NEW_NOTE

    async def run(self) -> None:
        patient = await self.api.patient_api.get_patient(self.world.shared_id)
        assert patient.note == NOTE
        self.change(patient)
        saved = await self.api.patient_api.create_or_modify_patient(patient)
        assert (saved.id, saved.note) == (self.world.shared_id, self.note)

    def change(self, patient: Patient) -> None:
        patient.note = NEW_NOTE

    def notes(self, patient_id: str) -> set[str | None]:
        return super().notes(patient_id) | (
            {self.note} if patient_id == self.world.shared_id else set()
        )


class ModificationInClear(Modification):
    """Reading a patient and changing nothing that is encrypted."""

    may_change = frozenset({"encryptedSelf", "profession"})
    note = NOTE

    def change(self, patient: Patient) -> None:
        patient.profession = "king"


class ModificationOfOwnRecord(Modification):
    """Changing the record of oneself, which holds one's keys."""

    may_change = frozenset({"encryptedSelf", "profession"})
    note = NOTE

    async def run(self) -> None:
        own_id = self.world.ned_id
        patient = await self.api.patient_api.get_patient(own_id)
        patient.profession = "warden"
        saved = await self.api.patient_api.create_or_modify_patient(patient)
        assert saved.id == own_id


class RenameOfOneself(Flow):
    """A professional changing its own record, which holds its keys, and writing to somebody."""

    may_change = frozenset({"lastName", "name", "names"})

    async def prepare(self) -> None:
        self.api = await self.place.hcp()

    async def run(self) -> None:
        own_id = self.world.hcp_id
        professionals = self.api.healthcare_professional_api
        professional = await professionals.get_healthcare_professional(own_id)
        professional.last_name = "Renamed"
        saved = await professionals.create_or_modify_healthcare_professional(professional)
        assert (saved.id, saved.last_name) == (own_id, "Renamed")
        new = Notification(type="OTHER", properties=words(WORDS))
        created = await self.api.notification_api.create_or_modify_notification(
            new, delegate=self.world.ned_id
        )
        assert created.properties == words(WORDS)


class ModificationBlindly(Flow):
    """Changing a patient that can't be decrypted."""

    may_change = frozenset({"profession"})

    async def prepare(self) -> None:
        self.api = await self.place.hcp()

    async def run(self) -> None:
        patients = self.api.patient_api
        patient = await patients.get_patient_and_try_decrypt(self.world.hidden_id)
        assert patient.note is None
        patient.profession = "crow"
        saved = await patients.modify_potentially_encrypted_patient(patient)
        assert saved.id == self.world.hidden_id


class Sharing(_Prepared):
    """Sharing a patient with somebody to whom there is an exchange key."""

    finished = False

    async def run(self) -> None:
        patients = self.api.patient_api
        patient = await patients.get_patient(self.patient_id)
        shared = await patients.give_access_to(patient, self.delegate_id)
        assert (shared.id, shared.note) == (patient.id, patient.note)
        self.finished = True

    @property
    def patient_id(self) -> str:
        return self.world.hidden_id

    @property
    def delegate_id(self) -> str:
        return self.world.hcp_id

    @property
    def delegate_key(self) -> KeyPair:
        return self.world.master_pair

    async def check_device(self, published: set[str]) -> None:
        if not self.finished:
            return
        database = await self.place.sandbox.export()
        stored = database["entities"]["patient"][self.patient_id]
        if self.world.flavour == "medtech":
            for name in ("delegations", "encryptionKeys"):
                assert len(stored[name].get(self.delegate_id, ())) == 1, f"{name} are not shared"
        else:
            named = [one.get("delegate") for one in secure_delegations_of(stored).values()]
            assert named.count(self.delegate_id) == 1, "it is not shared"
        reads = _reads(self.world, database, self.delegate_key, self.patient_id)
        assert reads, "the delegate can't read it"


class FirstSharing(Sharing):
    """Sharing a patient with somebody new."""

    @property
    def delegate_id(self) -> str:
        return self.world.reed_id

    @property
    def delegate_key(self) -> KeyPair:
        return self.place.pairs[3]


class SharingOfOwnRecord(FirstSharing):
    """Sharing the record of oneself, which holds one's keys, with somebody new."""

    @property
    def patient_id(self) -> str:
        return self.world.ned_id


class SharingOfAllData(FirstSharing):
    """Sharing a patient and all that belongs to it."""

    async def run(self) -> None:
        given = await self.api.patient_api.give_access_to_all_data_of(
            self.patient_id, self.delegate_id
        )
        assert given.patient.shared == 1
        assert given.success or self.place.mutator.struck
        self.finished = True


class AutomaticSharing(_Prepared):
    """Sharing new data with somebody, and no more."""

    async def run(self) -> None:
        users = self.api.user_api
        reed_id, hcp_id = self.world.reed_id, self.world.hcp_id
        user = await users.share_all_future_data_with([reed_id])
        assert reed_id in user.sharing_data_with["all"]
        user = await users.stop_sharing_data_with([reed_id])
        sharing_with = user.sharing_data_with.get("all", [])
        assert reed_id not in sharing_with
        assert hcp_id in sharing_with or self.place.mutator.struck


class Deletion(_Prepared):
    """Deleting a patient."""

    may_change = frozenset({"deletionDate"})

    async def run(self) -> None:
        deleted = await self.api.patient_api.delete_patient(self.world.shared_id)
        assert deleted == self.world.shared_id


class Notifications(_Prepared):
    """Listing notifications, answering, sending and deleting one."""

    may_change = frozenset({"status", "deletionDate", "encryptedSelf"})

    async def run(self) -> None:
        api = self.api.notification_api
        pending = await api.get_pending_notifications_after()
        first, second, *_ = self.world.pending_ids
        case = self.place.mutator.struck
        assert case or {found.id for found in pending} == set(self.world.pending_ids)
        said = {found.id: found for found in pending}
        for notification_id in (first, second):
            if isinstance(said.get(notification_id), Notification):
                assert said[notification_id].properties == words(WORDS)
        read = await api.get_notification(first)
        assert (read.id, read.properties) == (first, words(WORDS))
        updated = await api.update_notification_status(read, "completed")
        assert updated.id == first
        other = await api.get_notification(second)
        other.properties = words("other words")
        saved = await api.create_or_modify_notification(other)
        assert (saved.id, saved.properties) == (second, words("other words"))
        new = Notification(type="OTHER", properties=words(WORDS))
        created = await api.create_or_modify_notification(new, delegate=self.world.hcp_id)
        assert (created.id, created.properties) == (new.id, words(WORDS))
        assert await api.delete_notification(first) == first


class _Clinical(_Prepared):
    """About clinical records of the user.

    Attributes:
        changes: names of those of its records to which the flow gives new content.
    """

    changes: ClassVar[frozenset[str]] = frozenset()

    @property
    def ids(self) -> ClinicalIds:
        return self.world.clinical

    def said(self, name: str) -> set[str]:
        """Return what a record may say afterwards."""
        return {SAID, NEW_SAID} if name in self.changes else {SAID}


class Conditions(_Clinical):
    """Listing conditions, changing one, and creating, sharing and deleting another one."""

    may_change = frozenset({"encryptedSelf"})
    changes = frozenset({"condition"})

    async def run(self) -> None:
        api, ids = self.api.healthcare_element_api, self.ids
        found = await api.get_healthcare_elements_for_patient(self.world.ned_id)
        struck = self.place.mutator.struck
        assert struck or [one.description for one in found] == [SAID]
        assert {one.description for one in found} <= {SAID, None}
        read = await api.get_healthcare_element(ids.condition)
        assert (read.id, read.description) == (ids.condition, SAID)
        read.description = NEW_SAID
        saved = await api.create_or_modify_healthcare_element(read)
        assert (saved.id, saved.description) == (ids.condition, NEW_SAID)
        new = HealthcareElement(id=str(uuid4()), description=NEW_SAID)
        created = await api.create_or_modify_healthcare_element(new, self.world.ned_id)
        assert (created.id, created.description) == (new.id, NEW_SAID)
        shared = await api.give_access_to(created, self.world.reed_id)
        assert (shared.id, shared.description) == (new.id, NEW_SAID)
        await api.delete_healthcare_element(str(new.id))


class Samples(_Clinical):
    """Listing data samples, changing one, and creating, sharing and deleting others."""

    may_change = frozenset({"services", "subContacts"})
    changes = frozenset({"sample"})

    async def run(self) -> None:
        api, ids, ned_id = self.api.data_sample_api, self.ids, self.world.ned_id
        found = await api.get_data_samples_for_patient(ned_id)
        struck = self.place.mutator.struck
        assert struck or {one.id for one in found} == {ids.sample, ids.sibling}
        for one in found:
            if one.id in (ids.sample, ids.sibling) and isinstance(one, DataSample):
                assert one.content["en"].string_value == SAID
        read = await api.get_data_sample(ids.sample)
        assert (read.id, read.content["en"].string_value) == (ids.sample, SAID)
        read.content["en"].string_value = NEW_SAID
        saved = await api.create_or_modify_data_sample_for(ned_id, read)
        assert (saved.id, saved.content["en"].string_value) == (ids.sample, NEW_SAID)
        new = [_sample(NEW_SAID), _sample(NEW_SAID)]
        created = await api.create_or_modify_data_samples_for(ned_id, new)
        assert [one.id for one in created] == [one.id for one in new]
        await api.give_access_to(created[0], self.world.reed_id)
        assert await api.delete_data_sample(str(new[1].id)) == new[1].id


class Attachments(_Clinical):
    """Reading an attachment, and setting and deleting another one."""

    may_change = frozenset({"services", "subContacts"})

    async def run(self) -> None:
        api, ids = self.api.data_sample_api, self.ids
        content = await api.get_data_sample_attachment_content(ids.sample, ids.document)
        assert content == BYTES
        set_to = await api.set_data_sample_attachment(
            ids.sibling, BYTES[::-1], document_language="nl"
        )
        place = (ids.sibling, str(set_to.id))
        assert await api.get_data_sample_attachment_content(*place) == BYTES[::-1]
        await api.delete_attachment(*place)


class AccessBack(Flow):
    """A professional gives access back to a patient's new key."""

    stage = "lost"

    async def prepare(self) -> None:
        self.api = await self.place.hcp()

    async def run(self) -> None:
        _, new = self.world.key_pairs
        given = await self.api.data_owner_api.give_access_back_to(self.world.ned_id, new.public_key)
        assert given.given > 0


class _Login(Flow):
    phone: ClassVar[str] = PHONE

    async def prepare(self) -> None:
        self.keys = MemoryKeyStorage()
        self.result: AuthenticationResult | None = None

    async def run(self) -> None:
        self.result = await self.place.log_in(self.keys, *self.fresh_pairs(), phone=self.phone)

    def fresh_pairs(self) -> list[KeyPair]:
        return []

    async def check_device(self, published: set[str]) -> None:
        if self.result is None:
            return
        assert self.result.key_pairs, "no key pair"
        api = await self.place.api(self.phone, self.result.token, self.result.key_pairs[0])
        user = await api.user_api.get_logged_user()
        assert user.id == self.result.user_id, "of another user"
        owner_id = str(user.patient_id)
        on_device = {pair.public_key for pair in await self.keys.list_key_pairs(owner_id)}
        assert {pair.public_key for pair in self.result.key_pairs} <= on_device
        assert published <= on_device, "a key pair was published that is not on the device"


class Registration(_Login):
    """A new user."""

    phone = "+32470123456"

    def fresh_pairs(self) -> list[KeyPair]:
        return self.place.pairs[2:3]

    async def check_device(self, published: set[str]) -> None:
        await super().check_device(published)
        if self.result is None:
            return
        api = await self.place.api(self.phone, self.result.token, self.result.key_pairs[0])
        own_id = str((await api.user_api.get_logged_user()).patient_id)
        await api.patient_api.get_patient(own_id)


class LoginWithKey(_Login):
    """On the device that has the key."""

    async def prepare(self) -> None:
        await super().prepare()
        await self.keys.store_key_pair(self.world.ned_id, self.world.key_pairs[0])


class LoginWithoutKey(_Login):
    """On a new device."""

    may_change = frozenset()

    def fresh_pairs(self) -> list[KeyPair]:
        return self.place.pairs[2:3]


class LoginWithRecoveryKey(Flow):
    """On a new device, with a recovery key."""

    async def prepare(self) -> None:
        api = await self.place.ned()
        self.recovery_key = await api.data_owner_api.create_recovery_key()
        self.keys = MemoryKeyStorage()
        self.is_done = False

    async def run(self) -> None:
        world = self.world
        api = await self.place.api(PHONE, world.token, keys=self.keys)
        in_use = await api.init_user_crypto(recovery_key=self.recovery_key)
        assert in_use == world.key_pairs
        assert (await api.patient_api.get_patient(world.shared_id)).note == NOTE
        self.is_done = True

    async def check_device(self, published: set[str]) -> None:
        assert not published, "a key pair was published"
        stored = await self.keys.list_key_pairs(self.world.ned_id)
        assert stored in ([], self.world.key_pairs), "another key pair is on the device"
        assert stored or not self.is_done, "the key pair is not on the device"


class SecondLoginWithoutKey(LoginWithoutKey):
    """On a new device, after another one."""

    stage = "lost"


class Invitation(Flow):
    """A professional invites a patient."""

    stage = "invited"

    async def prepare(self) -> None:
        self.api = await self.place.hcp()
        self.patient = await self.api.patient_api.get_patient(self.world.invitable_id)
        self.is_done = False

    async def run(self) -> None:
        factory = by_email(self.patient)
        user = await self.api.user_api.create_and_invite_user(self.patient, factory)
        assert (user.patient_id, user.login) == (self.patient.id, INVITABLE)
        self.is_done = True

    async def check_device(self, published: set[str]) -> None:
        users = (await self.place.sandbox.export())["entities"]["user"].values()
        ours = [user["id"] for user in users if user.get("patientId") == self.patient.id]
        assert len(ours) <= 1, "two users"
        if not self.is_done:
            return
        token = token_in(await self.place.sandbox.wait_for_message(INVITABLE))
        api = await self.place.api(INVITABLE, token)
        assert [(await api.user_api.get_logged_user()).id] == ours


class FirstLogin(Flow):
    """An invited patient logs in for the first time, and asks for access."""

    stage = "invited"

    async def prepare(self) -> None:
        self.keys = MemoryKeyStorage()
        self.result: AuthenticationResult | None = None

    async def run(self) -> None:
        self.result = await self.place.first_login(self.keys, self.world.invitation)
        assert self.result.data_owner_id == self.world.invited_id
        for one in self.result.access_requests:
            assert one.recipient_id == self.world.hcp_id or self.place.mutator.struck

    async def check_device(self, published: set[str]) -> None:
        pairs = await self.keys.list_key_pairs(self.world.invited_id)
        assert published <= {pair.public_key for pair in pairs}, "a published key is not here"
        assert len(pairs) <= 1, "two key pairs"
        if self.result is not None:
            api = await self.place.api(INVITED, self.result.token, self.result.key_pairs[0])
            assert (await api.user_api.get_logged_user()).patient_id == self.world.invited_id


class AccessAnswer(Flow):
    """A professional gives an invited patient access to its own data."""

    stage = "asked"
    may_change = frozenset({"status"})

    async def prepare(self) -> None:
        self.api = await self.place.hcp()
        self.request = await self.api.notification_api.get_notification(self.world.request_id)
        self.is_done = False

    async def run(self) -> None:
        answer = await self.api.data_owner_api.answer_access_request(self.request)
        assert answer.access.patient_id == self.world.invited_id
        self.is_done = answer.access.success

    async def check_device(self, published: set[str]) -> None:
        assert not published
        before, own_id = self.world.others["patient"], self.world.invited_id
        after = (await self.place.sandbox.export())["entities"]["patient"]
        for patient_id, patient in after.items():
            for member in ("delegations", "encryptionKeys"):
                gained = patient[member].keys() - before[patient_id][member].keys()
                assert gained <= ({own_id} if patient_id == own_id else set()), "it is shared"
        if self.is_done:
            api = await self.place.api(INVITED, self.world.invited_token, self.place.pairs[2])
            assert (await api.patient_api.get_patient(own_id)).note == NOTE


FLOWS: list[type[Flow]] = [
    Registration,
    LoginWithKey,
    LoginWithoutKey,
    SecondLoginWithoutKey,
    Reading,
    Creation,
    Modification,
    ModificationInClear,
    ModificationOfOwnRecord,
    RenameOfOneself,
    ModificationBlindly,
    Sharing,
    FirstSharing,
    SharingOfOwnRecord,
    SharingOfAllData,
    AutomaticSharing,
    Deletion,
    Notifications,
    Conditions,
    Samples,
    Attachments,
    AccessBack,
    Invitation,
    FirstLogin,
    AccessAnswer,
]


FLOWS_OF_TODAY: list[type[Flow]] = [
    Registration,
    LoginWithoutKey,
    LoginWithRecoveryKey,
    Reading,
    Creation,
    ModificationOfOwnRecord,
    FirstSharing,
    AccessBack,
    Samples,
]
"""Those that differ most in the cardinal flavour."""

MORE_FLOWS_OF_TODAY: list[type[Flow]] = [
    LoginWithKey,
    SecondLoginWithoutKey,
    Modification,
    ModificationInClear,
    RenameOfOneself,
    ModificationBlindly,
    Sharing,
    SharingOfOwnRecord,
    SharingOfAllData,
    AutomaticSharing,
    Deletion,
    Notifications,
    Conditions,
    Attachments,
]


async def check_aftermath(flow: Flow, case: Case | None, *, finished: bool) -> None:
    """Check that nothing is lost, and that all former readers of a record can read it now."""
    before = flow.world.others
    after = (await flow.place.sandbox.export())["entities"]
    said = {step for step in case.path if isinstance(step, str)} if case else set()
    if said & _NAMES:
        said |= _NAMES
    published: set[str] = set()
    changed = False
    for kind in _KINDS:
        for entity_id, entity in before.get(kind, {}).items():
            now = after[kind].get(entity_id)
            assert now is not None, f"a {kind} is gone"
            if now != entity:
                changed = True
                allowed = flow.may_change | said | _WRITTEN_BY_SERVER | _AUDITED
                for problem in _lost(entity, now, allowed if kind != "user" else {*now, *said}):
                    raise AssertionError(f"{kind}: {problem}")
                published |= _public_keys(now) - _public_keys(entity)
        changed = changed or len(after.get(kind, {})) > len(before.get(kind, {}))
    for entity_id in after["patient"].keys() - before["patient"].keys():
        new = after["patient"][entity_id]
        published |= _public_keys(new)
        if finished:
            _check_shared(flow, after, new, said)
    await flow.check_device(published if finished else set())
    if changed:
        if flow.world.flavour == "cardinal":
            _check_by_the_rules(flow, after)
        await _check_readable(flow, after, finished=finished)


def _check_shared(flow: Flow, entities: Json, patient: Json, said: set[str]) -> None:
    world = flow.world
    if world.flavour == "cardinal":
        pairs = [flow.place.pairs[2] if patient.get(_TODAYS_KEYS) else world.key_pairs[0]]
        pairs += [] if "autoDelegations" in said else [world.master_pair]
        for pair in pairs:
            assert _reads(world, {"entities": entities}, pair, patient["id"]), "somebody can't read"
        return
    own_id = patient["id"] if patient.get("publicKey") else world.ned_id
    readers = {own_id} if "autoDelegations" in said else {own_id, world.hcp_id}
    for member in ("delegations", "encryptionKeys"):
        assert readers <= patient[member].keys(), f"{member} lack somebody"


def _check_by_the_rules(flow: Flow, entities: Json) -> None:
    """Check all of today's metadata with everybody's keys."""
    pairs = [*flow.place.pairs, flow.world.master_pair]
    problems = audit(entities, [pair.private_key for pair in pairs]).problems
    assert problems == [], problems[:3]


def _reads(world: World, database: Json, pair: KeyPair, patient_id: str) -> bool:
    """Return whether somebody with a key pair reads a patient, as no code of ours sees it."""
    if world.flavour == "medtech":
        reader = Attacker(private_keys=[pair.private_key])
        return reader.reads(database, patient_id) is not None
    return Reader(database["entities"], pair.private_key).read("patient", patient_id) is not None


async def _check_readable(flow: Flow, after: Json, *, finished: bool) -> None:
    place, world = flow.place, flow.world
    ned, hcp = await place.ned(), await place.hcp()
    created = str(flow.created.id) if flow.created is not None else None
    for api, ids in (
        (ned, [world.shared_id, world.hidden_id, created]),
        (hcp, [world.shared_id, created]),
    ):
        for patient_id in ids:
            if patient_id is None or patient_id not in after["patient"]:
                continue
            if after["patient"][patient_id].get("deletionDate"):
                continue
            if patient_id == created and api is hcp:
                database = {"entities": after}
                if not _reads(world, database, world.master_pair, patient_id):
                    continue
            note = (await api.patient_api.get_patient(patient_id)).note
            notes = flow.notes(patient_id)
            assert note in notes, "a note is another one"
            if finished and len(notes) > 1:
                assert note == NEW_NOTE, "the new note is not stored"
    for task_id in world.pending_ids[:2]:
        task = await ned.notification_api.get_notification(task_id)
        assert task.properties in (words(WORDS), words("other words")), "words are lost"
    await ned.patient_api.get_patient(world.ned_id)
    if isinstance(flow, _Clinical):
        for api in (ned, hcp):
            await _check_clinical(flow, api, finished=finished)


async def _check_clinical(flow: _Clinical, api: MedTechApi, *, finished: bool) -> None:
    """Check that somebody reads the records that were there, and nothing wrong in them."""
    ids, samples = flow.ids, api.data_sample_api
    condition = await api.healthcare_element_api.get_healthcare_element(ids.condition)
    sample, sibling = [await samples.get_data_sample(one) for one in (ids.sample, ids.sibling)]
    texts = {
        "condition": condition.description,
        "sample": sample.content["en"].string_value,
        "sibling": sibling.content["en"].string_value,
    }
    for name, text in texts.items():
        assert text in flow.said(name), f"the {name} says something else"
        if finished and name in flow.changes:
            assert text == NEW_SAID, f"what is new of the {name} is not stored"
    for one in (sample, sibling):
        assert one.healthcare_element_ids == [ids.condition], "a link is lost"
    content = await samples.get_data_sample_attachment_content(ids.sample, ids.document)
    assert content == BYTES, "the attachment is another one"


def _public_keys(owner: Json) -> set[str]:
    keys = {owner.get("publicKey"), *owner.get("aesExchangeKeys", {})}
    keys |= {*owner.get(_TODAYS_KEYS, ())}
    return {key for key in keys if key}


def _lost(before: Json, now: Json, allowed: set[str] | frozenset[str]) -> Iterator[str]:
    """Yield the members of a document that are missing or changed."""
    for name, value in before.items():
        present = now.get(name)
        if name in _GROWING:
            yield from (f"{name}{path} is lost" for path in _missing(value, present))
        elif present != value and name not in allowed:
            yield f"{name} is another one"
        elif name in ("services", "subContacts"):
            yield from (f"{name}{path} is lost" for path in _unlinked(value, present))


def _unlinked(before: Any, now: Any) -> Iterator[str]:
    """Yield the ids of services, and of records they are linked to, that are missing."""
    named = {one.get("id") or one.get("healthElementId") for one in before}
    yield from (f" of {one}" for one in named - {
        one.get("id") or one.get("healthElementId") for one in now or ()
    })  # fmt: skip


_TODAYS_KEYS = "publicKeysForOaepWithSha256"

_KINDS = (
    "patient",
    "hcparty",
    "maintenancetask",
    "helement",
    "contact",
    "document",
    "user",
    "exchangedata",
    "exchangedatamap",
    "recoverydata",
)

_GROWING = (
    "delegations",
    "encryptionKeys",
    "cryptedForeignKeys",
    "securityMetadata",
    "aesExchangeKeys",
    "hcPartyKeys",
    "transferKeys",
    "publicKey",
    "privateKeyShamirPartitions",
    _TODAYS_KEYS,
    "exchangeKey",
    "accessControlSecret",
    "sharedSignatureKey",
    "delegatorSignature",
    "encryptedExchangeDataIds",
)


def _missing(before: Any, now: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, dict):
        for name, value in before.items():
            inner = now.get(name) if isinstance(now, dict) else None
            yield from _missing(value, inner, f"{path}/{name[-12:]}")
    elif isinstance(before, list):
        if not isinstance(now, list) or any(item not in now for item in before):
            yield path
    elif before != now:
        yield path
