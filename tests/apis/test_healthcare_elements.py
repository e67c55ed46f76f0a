"""Healthcare elements in the flavour of 2023: those of the reference, and ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, cast

import aiohttp
import pytest

from icure_async import (
    CodingReference,
    EncryptedHealthcareElement,
    HealthcareElement,
    HealthcareElementFilter,
    Identifier,
    Patient,
    PatientFilter,
)
from icure_async.errors import (
    ConflictError,
    CryptoError,
    DecryptionError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD2
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.second_world import IDS, PATIENT, SecondWorld, without_tags
from tests.support.seeds import stage

ROOT: Final = "/rest/v1"
FEVER: Final = "cfa91eb2-a2c7-4d3f-a370-106293d11f20"
"""A condition of that patient, shared with hcpB, too."""
OF_NED: Final = "b9049d12-dd24-4da8-bffa-cc2b91ab4fb9"
"""A condition of another patient that hcpA can read."""
TYPES: Final = ("healthcareElement", "healthcareElementsForPatient")


@pytest.fixture
def stage_name() -> str:
    return "11-health-elements"


@pytest.fixture
async def world(
    stage_name: str, client_session: aiohttp.ClientSession
) -> AsyncIterator[SecondWorld]:
    async with Sandbox(seed=stage(WORLD2, stage_name), jwt=False) as sandbox:
        yield SecondWorld(sandbox, client_session)


@pytest.fixture
async def proxy(world: SecondWorld) -> AsyncIterator[Proxy]:
    async with Proxy(world.sandbox) as running:
        yield running


# --- Those of the reference -----------------------------------------------------------------------

EXPECTED: Final = [one for one in WORLD2["expected"] if one["type"] in TYPES]


@pytest.mark.parametrize("stage_name", sorted({one["stage"] for one in EXPECTED}))
async def test_what_the_reference_wrote_is_read_by_those_it_is_meant_for(
    world: SecondWorld, stage_name: str
) -> None:
    wrong: list[str] = []
    for entry in EXPECTED:
        if entry["stage"] != stage_name:
            continue
        elements = (await world.user(entry["reader"])).healthcare_element_api
        wanted = entry["fields"]
        try:
            if entry["type"] == "healthcareElement":
                read = (await elements.get_healthcare_element(entry["id"])).to_dict()
            else:
                listed = await elements.get_healthcare_elements_for_patient(entry["id"])
                read = {"ids": sorted(one.id for one in listed)}
                wanted = {"ids": sorted(wanted["ids"])}
        except (DecryptionError, PermissionDeniedError):
            if wanted is not None:
                wrong.append(f"{entry['reader']} can't read {entry['id']}")
        else:
            if wanted is None or {name: read.get(name) for name in wanted} != wanted:
                wrong.append(f"{entry['reader']} reads {entry['id']}: {read}")
    assert wrong == []


async def test_a_condition_of_the_reference_is_changed_with_one_request(
    world: SecondWorld, requests: RequestLog
) -> None:
    elements = (await world.user("hcpA")).healthcare_element_api
    fever = await elements.get_healthcare_element(FEVER)
    # Backends fill in empty members on the first change.
    fever = await elements.create_or_modify_healthcare_element(fever.evolve(note="first"))
    before = await world.stored("helement", FEVER)
    of_reference = WORLD2["stages"]["11-health-elements"]["entities"]["helement"][FEVER]
    for name in ("delegations", "encryptionKeys", "cryptedForeignKeys"):
        assert without_tags(before[name]) == without_tags(of_reference[name])
    fever.note = "changed"
    requests.take()
    saved = await elements.create_or_modify_healthcare_element(fever)
    assert requests.take() == [f"PUT {ROOT}/helement"]
    assert saved.note == "changed"
    after = await world.stored("helement", FEVER)
    differing = {name for name in before.keys() | after if before.get(name) != after.get(name)}
    assert differing == {"rev", "modified", "encryptedSelf"}
    reader = (await world.user("hcpB")).healthcare_element_api
    assert (await reader.get_healthcare_element(FEVER)).note == "changed"


# --- Ours -----------------------------------------------------------------------------------------


async def test_a_new_condition_is_as_the_reference_would_write_it(
    world: SecondWorld, requests: RequestLog
) -> None:
    await world.create("hcpA")
    elements = (await world.user("hcpA")).healthcare_element_api
    new = HealthcareElement(
        description="SECRET",
        note="SECRET",
        opening_date=20220101,
        labels=[CodingReference(type="T", code="1", version="1")],
        identifiers=[Identifier(system="s", value="v")],
    )
    requests.take()
    saved = await elements.create_or_modify_healthcare_element(new, PATIENT)
    # The reference takes 3.
    assert requests.take() == [f"GET {ROOT}/patient/{PATIENT}", f"POST {ROOT}/helement"]
    assert new.id == saved.id == saved.healthcare_element_id
    stored = await world.stored("helement", saved.id)
    assert "SECRET" not in str(stored)
    assert PATIENT not in str(stored)
    of_reference = await world.stored("helement", FEVER)
    assert stored["secretForeignKeys"] == of_reference["secretForeignKeys"]
    for name in ("delegations", "encryptionKeys", "cryptedForeignKeys"):
        ((delegate, (entry,)),) = stored[name].items()
        assert delegate == IDS["hcpA"]
        assert entry.keys() - {"tags"} == {"owner", "delegatedTo", "key"}
    missing = of_reference.keys() - stored.keys()
    assert missing <= {"valueDate", "closingDate", "codes"}
    assert (stored["relevant"], stored["status"]) == (True, 0)

    requests.take()
    assert await elements.get_healthcare_element(saved.id) == saved
    assert requests.take() == [f"GET {ROOT}/helement/{saved.id}"]
    saved.note = None
    again = await elements.create_or_modify_healthcare_element(saved, PATIENT)
    assert requests.take() == [f"PUT {ROOT}/helement"]
    assert (again.description, again.note) == ("SECRET", None)


async def test_lists_by_patient_take_one_request(world: SecondWorld, requests: RequestLog) -> None:
    api = await world.user("hcpA")
    elements = api.healthcare_element_api
    patient = await api.patient_api.get_patient(PATIENT)
    await elements.get_healthcare_elements_for_patient(patient)
    requests.take()
    listed = await elements.get_healthcare_elements_for_patient(patient)
    # The reference takes 3.
    assert requests.take() == [f"POST {ROOT}/helement/filter"]
    assert FEVER in {one.id for one in listed}
    assert OF_NED not in {one.id for one in listed}
    by_id = await elements.get_healthcare_elements_for_patient(PATIENT)
    assert requests.take() == [f"GET {ROOT}/patient/{PATIENT}", f"POST {ROOT}/helement/filter"]
    assert by_id == listed
    # One that went through JSON has lost its keys.
    plain = Patient.from_dict(patient.to_dict())
    assert await elements.get_healthcare_elements_for_patient(plain) == listed


async def test_conditions_are_found_by_filters(world: SecondWorld, requests: RequestLog) -> None:
    api = await world.user("hcpA")
    elements = api.healthcare_element_api
    patient = await api.patient_api.get_patient(PATIENT)
    new = await elements.create_or_modify_healthcare_element(
        HealthcareElement(
            description="x",
            codes=[CodingReference(type="OURS", code="1", version="1")],
            identifiers=[Identifier(system="clinic", value="7")],
        ),
        PATIENT,
    )
    everything = {one.id async for one in elements.filter_healthcare_element()}
    assert {new.id, FEVER, OF_NED} <= everything
    builder = HealthcareElementFilter()
    one = {new.id}
    for wanted in (
        builder.by_ids([new.id]),
        builder.by_identifiers([Identifier(system="clinic", value="7")]),
        builder.by_label_code_filter(code_type="OURS", code_code="1"),
        builder.by_label_code_filter(code_type="OURS").for_patients([patient]),
    ):
        assert {each.id async for each in elements.filter_healthcare_element(wanted)} == one
        assert set(await elements.match_healthcare_element(wanted)) == one
    requests.take()
    # Wherever in a filter patients are, and however they are given.
    of_both = builder.for_patients([patient]) | builder.for_patients([IDS["ned"]])
    found = await elements.match_healthcare_element(of_both & ~builder.by_ids([FEVER]))
    assert requests.take() == [f"GET {ROOT}/patient/{IDS['ned']}", f"POST {ROOT}/helement/match"]
    assert {new.id, OF_NED} <= set(found)
    assert FEVER not in found
    with pytest.raises(ValidationError, match="must be one for healthcare elements"):
        elements.filter_healthcare_element(cast("Any", PatientFilter()))


async def test_deleted_conditions_are_read_by_their_id_and_listed_nowhere(
    world: SecondWorld, requests: RequestLog
) -> None:
    element = await world.create("hcpA")
    elements = (await world.user("hcpA")).healthcare_element_api
    requests.take()
    assert await elements.delete_healthcare_element(element.id) == element.id
    assert requests.take() == [f"DELETE {ROOT}/helement/{element.id}"]
    assert (await elements.get_healthcare_element(element.id)).deletion_date is not None
    assert element.id not in await world.listed("hcpA")
    with pytest.raises(NotFoundError, match="Could not delete healthcare element none"):
        await elements.delete_healthcare_element("none")
    with pytest.raises(ValidationError):
        await elements.delete_healthcare_element("a,b")


async def test_events_about_conditions_are_decrypted(world: SecondWorld) -> None:
    api = await world.user("hcpA")
    elements = api.healthcare_element_api
    of_patient = HealthcareElementFilter().for_patients([PATIENT])
    async with elements.subscribe_to_healthcare_element_events(["CREATE"], of_patient) as events:
        await world.create("hcpA", patient_id=IDS["ned"])
        element = await world.create("hcpA")
        event = await events.get(timeout=10)
    assert cast("Any", event).record == element


# --- Many -----------------------------------------------------------------------------------------


async def test_many_conditions_are_saved_with_few_requests(
    world: SecondWorld, requests: RequestLog
) -> None:
    await world.create("hcpA")
    elements = (await world.user("hcpA")).healthcare_element_api
    new = [HealthcareElement(description=text, note="n") for text in ("a", "b", "c")]
    requests.take()
    result = await elements.create_or_modify_healthcare_elements(new, PATIENT)
    # The reference takes 4. One looks for the dates that the backend has filled in.
    assert requests.take() == [
        f"GET {ROOT}/patient/{PATIENT}",
        f"POST {ROOT}/helement/batch",
        f"POST {ROOT}/helement/byIds",
    ]
    result.raise_for_failures()
    assert [one.description for one in result.saved] == ["a", "b", "c"]
    stored = await elements.get_healthcare_element(new[0].id)
    assert stored == result.saved[0]
    assert {one.id for one in new} <= await world.listed("hcpA")

    changed = [one.evolve(note="m") for one in result.saved]
    more = [*changed, HealthcareElement(description="d"), HealthcareElement(description=7)]  # type: ignore[arg-type]
    requests.take()
    result = await elements.create_or_modify_healthcare_elements(more, PATIENT)
    assert requests.take() == [
        f"GET {ROOT}/patient/{PATIENT}",
        f"POST {ROOT}/helement/batch",
        f"POST {ROOT}/helement/byIds",
        f"PUT {ROOT}/helement/batch",
    ]
    assert [type(item.error) for item in result] == [type(None)] * 4 + [ValidationError]
    again = await elements.create_or_modify_healthcare_elements(changed)
    assert [type(item.error) for item in again] == [type(None)] * 3


async def test_among_many_new_ones_need_a_patient_and_stored_ones_keep_theirs(
    world: SecondWorld, requests: RequestLog
) -> None:
    elements = (await world.user("hcpA")).healthcare_element_api
    fever = await elements.get_healthcare_element(FEVER)
    both = [fever.evolve(note="m"), HealthcareElement(description="d")]
    result = await elements.create_or_modify_healthcare_elements(both)
    assert [type(item.error) for item in result] == [type(None), ValidationError]
    assert "patient_id" in str(result.failed[0].error)
    of_other = await elements.create_or_modify_healthcare_elements(result.saved, IDS["ned"])
    assert "belongs to another patient" in str(of_other.failed[0].error)
    with pytest.raises(ValidationError, match="must be a list"):
        await elements.create_or_modify_healthcare_elements(cast("Any", "x"), PATIENT)
    requests.take()
    with pytest.raises(ValidationError, match="patient_id"):
        await elements.create_or_modify_healthcare_elements([], "a b")
    assert requests.take() == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_an_answer_about_many_that_got_lost_is_looked_up(
    world: SecondWorld, proxy: Proxy, method: str
) -> None:
    elements = (await world.user("hcpA", proxy.url)).healthcare_element_api
    new = [HealthcareElement(description=text) for text in ("a", "b")]
    if method == "PUT":
        saved = await elements.create_or_modify_healthcare_elements(new, PATIENT)
        new = [one.evolve(note="m") for one in saved.saved]
    proxy.lose(f"{method} /helement/batch")
    result = await elements.create_or_modify_healthcare_elements(new, PATIENT)
    result.raise_for_failures()
    assert [one.description for one in result.saved] == ["a", "b"]


# --- Bad input, and calls that are repeated -------------------------------------------------------


async def test_bad_input_is_refused_before_anything_is_sent(
    world: SecondWorld, requests: RequestLog
) -> None:
    elements = (await world.user("hcpA")).healthcare_element_api
    new = HealthcareElement(description="x")
    requests.take()
    save = elements.create_or_modify_healthcare_element
    with pytest.raises(ValidationError, match="pass the id of the patient as patient_id"):
        await save(new)
    with pytest.raises(ValidationError, match="patient_id"):
        await save(new, "a b")
    with pytest.raises(ValidationError, match="patient_id"):
        await save(new, cast("Any", Patient()))
    with pytest.raises(ValidationError, match="description"):
        await save(HealthcareElement(description=cast("Any", 7)), PATIENT)
    with pytest.raises(ValidationError, match="healthcare_element_id"):
        await save(HealthcareElement(healthcare_element_id="a/b"), PATIENT)
    with pytest.raises(ValidationError):
        await save(cast("Any", Patient()), PATIENT)
    with pytest.raises(ValidationError, match="must be a Patient"):
        await elements.get_healthcare_elements_for_patient(cast("Any", new))
    with pytest.raises(ValidationError, match="no id"):
        await elements.get_healthcare_elements_for_patient(Patient(first_name="A"))
    with pytest.raises(ValidationError, match="delegate id"):
        await elements.give_access_to(new, "a b")
    with pytest.raises(ValidationError, match="save it first"):
        await elements.give_access_to(new, IDS["hcpB"])
    for bad in ("", "a/b", cast("Any", None)):
        with pytest.raises(ValidationError):
            await elements.get_healthcare_element(bad)
    assert requests.take() == []


async def test_a_condition_with_an_odd_id_of_its_versions_can_be_changed(
    world: SecondWorld,
) -> None:
    await world.change("helement", FEVER, healthElementId="of another SDK / 7")
    elements = (await world.user("hcpA")).healthcare_element_api
    fever = await elements.get_healthcare_element(FEVER)
    fever.note = "changed"
    saved = await elements.create_or_modify_healthcare_element(fever)
    assert saved.healthcare_element_id == "of another SDK / 7"


async def test_without_access_to_the_patient_nothing_is_written(
    world: SecondWorld, requests: RequestLog
) -> None:
    stranger = (await world.user("hcpC")).healthcare_element_api
    requests.take()
    with pytest.raises(CryptoError, match="no secret id of it"):
        await stranger.create_or_modify_healthcare_element(HealthcareElement(), PATIENT)
    with pytest.raises(CryptoError, match="no secret id of it"):
        await stranger.get_healthcare_elements_for_patient(PATIENT)
    with pytest.raises(NotFoundError):
        await stranger.create_or_modify_healthcare_element(HealthcareElement(), "unknown")
    assert not any("helement" in line for line in requests.take())
    # A patient that may not read the record of another one at all.
    ned = (await world.user("ned")).healthcare_element_api
    with pytest.raises(PermissionDeniedError):
        await ned.create_or_modify_healthcare_element(HealthcareElement(), PATIENT)


async def test_without_a_key_a_condition_is_not_replaced_and_the_error_says_so(
    world: SecondWorld,
) -> None:
    """The reference says "No valid keys found for calendar item encryption"."""
    stranger = (await world.user("hcpC")).healthcare_element_api
    sealed = await stranger.get_healthcare_element_and_try_decrypt(FEVER)
    assert isinstance(sealed, EncryptedHealthcareElement)
    assert (sealed.description, sealed.note) == (None, None)
    before = await world.stored("helement", FEVER)
    by_hand = HealthcareElement(id=FEVER, rev=sealed.rev, description="x")
    for one in (cast("HealthcareElement", sealed), by_hand):
        with pytest.raises(DecryptionError, match=f"ealthcare element {FEVER}"):
            await stranger.create_or_modify_healthcare_element(one)
    with pytest.raises(DecryptionError, match=f"ealthcare element {FEVER}"):
        await stranger.give_access_to(cast("HealthcareElement", sealed), IDS["ned"])
    with pytest.raises(DecryptionError, match=f"ealthcare element {FEVER}"):
        await stranger.get_healthcare_element(FEVER)
    assert await world.stored("helement", FEVER) == before


async def test_a_stored_condition_stays_with_its_patient(world: SecondWorld) -> None:
    elements = (await world.user("hcpA")).healthcare_element_api
    fever = await elements.get_healthcare_element(FEVER)
    before = await world.stored("helement", FEVER)
    with pytest.raises(ValidationError, match="belongs to another patient"):
        await elements.create_or_modify_healthcare_element(fever, IDS["ned"])
    assert await world.stored("helement", FEVER) == before
    # That of a patient who was merged into the one that is named.
    await world.change("patient", IDS["ned"], mergedIds=[PATIENT])
    await elements.create_or_modify_healthcare_element(fever, IDS["ned"])


async def test_a_repeated_call_finishes_the_job(world: SecondWorld, proxy: Proxy) -> None:
    elements = (await world.user("hcpA", proxy.url)).healthcare_element_api
    new = HealthcareElement(description="x", note="n")
    proxy.lose("POST /helement")
    with pytest.raises(NetworkError):
        await elements.create_or_modify_healthcare_element(new, PATIENT)
    saved = await elements.create_or_modify_healthcare_element(new, PATIENT)
    assert saved.rev.startswith("1-")
    saved.note = "m"
    proxy.lose("PUT /helement")
    with pytest.raises(NetworkError):
        await elements.create_or_modify_healthcare_element(saved)
    again = await elements.create_or_modify_healthcare_element(saved)
    assert (again.rev[:2], again.note) == ("2-", "m")
    with pytest.raises(ConflictError, match="changed by somebody else"):
        await elements.create_or_modify_healthcare_element(saved.evolve(note="other"))


async def test_what_was_created_for_another_patient_does_not_count_as_created(
    world: SecondWorld,
) -> None:
    elements = (await world.user("hcpA")).healthcare_element_api
    new = HealthcareElement(description="x")
    await elements.create_or_modify_healthcare_element(new, PATIENT)
    new.rev = cast("str", None)
    with pytest.raises(ConflictError, match="its id is in use"):
        await elements.create_or_modify_healthcare_element(new, IDS["ned"])
    (item,) = await elements.create_or_modify_healthcare_elements([new], IDS["ned"])
    assert item.error is not None
    (item,) = await elements.create_or_modify_healthcare_elements([new], PATIENT)
    assert item.error is None


# --- Sharing --------------------------------------------------------------------------------------


async def test_a_delegate_reads_a_shared_condition_and_a_repeated_call_sends_nothing(
    world: SecondWorld, requests: RequestLog
) -> None:
    """The reference sends 3 requests each time."""
    element = await world.create("hcpA")
    elements = (await world.user("hcpA")).healthcare_element_api
    before = await world.stored("helement", element.id)
    requests.take()
    shared = await elements.give_access_to(element, IDS["hcpB"])
    assert requests.take() == [f"GET {ROOT}/patient/{PATIENT}", f"PUT {ROOT}/helement"]
    assert await elements.give_access_to(shared, IDS["hcpB"]) is shared
    assert requests.take() == []
    stored = await world.stored("helement", element.id)
    for name in ("delegations", "encryptionKeys", "cryptedForeignKeys"):
        assert before[name].items() <= stored[name].items()
        assert len(stored[name][IDS["hcpB"]]) == 1
    assert stored["secretForeignKeys"] == before["secretForeignKeys"]
    reader = (await world.user("hcpB")).healthcare_element_api
    assert await reader.get_healthcare_element(element.id) == shared
    assert element.id in await world.listed("hcpB")
    # With the revision of before.
    assert await elements.give_access_to(element, IDS["hcpB"]) == shared


async def test_a_delegate_shares_onward_and_the_first_one_still_reads(world: SecondWorld) -> None:
    element = await world.create("hcpA")
    await (await world.user("hcpA")).healthcare_element_api.give_access_to(element, IDS["hcpB"])
    second = (await world.user("hcpB")).healthcare_element_api
    theirs = await second.get_healthcare_element(element.id)
    theirs = await second.give_access_to(theirs, IDS["hcpC"])
    third = (await world.user("hcpC")).healthcare_element_api
    read = await third.get_healthcare_element(element.id)
    read.note = "by the third"
    await third.create_or_modify_healthcare_element(read)
    for name in ("hcpA", "hcpB"):
        elements = (await world.user(name)).healthcare_element_api
        assert (await elements.get_healthcare_element(element.id)).note == "by the third"


async def test_changes_that_were_not_saved_are_not_shared(world: SecondWorld) -> None:
    element = await world.create("hcpA")
    elements = (await world.user("hcpA")).healthcare_element_api
    before = await world.stored("helement", element.id)
    with pytest.raises(ValidationError, match="changes that were not saved"):
        await elements.give_access_to(element.evolve(note="m"), IDS["hcpB"])
    with pytest.raises(ValidationError, match="current one"):
        await elements.give_access_to(element, IDS["hcpA"])
    with pytest.raises(NotFoundError, match="does not exist"):
        await elements.give_access_to(element, "nobody")
    assert await world.stored("helement", element.id) == before


async def test_new_conditions_are_shared_with_those_the_user_shares_with(
    world: SecondWorld,
) -> None:
    api = await world.user("hcpA")
    await api.user_api.share_all_future_data_with([IDS["hcpB"]], "medicalInformation")
    element = await world.create("hcpA")
    assert element.id in await world.listed("hcpB")
    reader = (await world.user("hcpB")).healthcare_element_api
    assert (await reader.get_healthcare_element(element.id)).note == "n"


# --- Secret ids -----------------------------------------------------------------------------------


class TestAnInvitedPatient:
    """The patient has a random secret id of its own first, and that of its professional second."""

    @pytest.fixture
    def stage_name(self) -> str:
        return "13-invite"

    async def test_what_it_writes_is_found_by_the_professional_it_is_shared_with(
        self, world: SecondWorld
    ) -> None:
        """The reference ties it to an id that the professional does not know."""
        element = await world.create("arya", patient_id=IDS["arya"])
        elements = (await world.user("arya")).healthcare_element_api
        element = await elements.give_access_to(element, IDS["hcpA"])
        assert element.id in await world.listed("hcpA", IDS["arya"])
        assert element.id in await world.listed("arya", IDS["arya"])

    async def test_what_it_writes_for_a_professional_is_under_an_id_that_both_have(
        self, world: SecondWorld
    ) -> None:
        api = await world.user("arya")
        await api.user_api.share_all_future_data_with([IDS["hcpA"]], "medicalInformation")
        element = await world.create("arya", patient_id=IDS["arya"])
        assert element.id in await world.listed("hcpA", IDS["arya"])
        (secret,) = (await world.stored("helement", element.id))["secretForeignKeys"]
        of_professional = "3b2e5dca-ffb6-4088-b364-e3fbc8514083"
        assert [secret] == (await world.stored("helement", of_professional))["secretForeignKeys"]
        elements = api.healthcare_element_api
        assert await elements.give_access_to(element, IDS["hcpA"]) is element

    async def test_what_the_reference_wrote_is_found_after_it_is_shared(
        self, world: SecondWorld, requests: RequestLog
    ) -> None:
        hidden = "f818ee73-fae3-47c4-89b7-2446c5fb85ea"
        elements = (await world.user("arya")).healthcare_element_api
        element = await elements.get_healthcare_element(hidden)
        (own_secret,) = (await world.stored("helement", hidden))["secretForeignKeys"]
        assert hidden not in await world.listed("hcpA", IDS["arya"])
        shared = await elements.give_access_to(element, IDS["hcpA"])
        assert hidden in await world.listed("hcpA", IDS["arya"])
        reader = (await world.user("hcpA")).healthcare_element_api
        assert await reader.get_healthcare_element(hidden) == shared
        secrets = (await world.stored("helement", hidden))["secretForeignKeys"]
        assert secrets[0] == own_secret
        assert len(secrets) == 2
        requests.take()
        assert await elements.give_access_to(shared, IDS["hcpA"]) is shared
        assert requests.take() == []

    async def test_a_delegate_without_a_secret_id_gets_the_condition_and_no_id(
        self, world: SecondWorld
    ) -> None:
        element = await world.create("arya", patient_id=IDS["arya"])
        before = await world.stored("helement", element.id)
        elements = (await world.user("arya")).healthcare_element_api
        await elements.give_access_to(element, IDS["hcpC"])
        stored = await world.stored("helement", element.id)
        assert stored["secretForeignKeys"] == before["secretForeignKeys"]
        reader = (await world.user("hcpC")).healthcare_element_api
        assert (await reader.get_healthcare_element(element.id)).note == "n"


class TestAChildProfessional:
    """A member of an organisation, which a patient was shared with."""

    @pytest.fixture
    def stage_name(self) -> str:
        return "14-people"

    async def test_it_finds_what_its_organisation_was_given(self, world: SecondWorld) -> None:
        """The reference lists nothing."""
        assert FEVER in await world.listed("hcpBchild")

    async def test_what_it_writes_is_tied_to_the_patient(self, world: SecondWorld) -> None:
        """The reference ties it to nothing, so that nobody finds it by the patient."""
        element = await world.create("hcpBchild")
        stored = await world.stored("helement", element.id)
        assert stored["secretForeignKeys"]
        assert stored["delegations"].keys() == {IDS["hcpBchild"]}
        assert element.id in await world.listed("hcpBchild")
        assert element.id not in await world.listed("hcpB")
        elements = (await world.user("hcpBchild")).healthcare_element_api
        await elements.give_access_to(element, IDS["hcpA"])
        assert element.id in await world.listed("hcpA")

    async def test_what_the_reference_tied_to_nothing_is_found_after_it_is_shared(
        self, world: SecondWorld
    ) -> None:
        lost = "2eb3a5af-a1a9-4834-8856-97947c12033c"
        assert (await world.stored("helement", lost))["secretForeignKeys"] == []
        elements = (await world.user("hcpBchild")).healthcare_element_api
        element = await elements.get_healthcare_element(lost)
        shared = await elements.give_access_to(element, IDS["hcpA"])
        assert lost in await world.listed("hcpA")
        shared.note = "changed"
        await elements.create_or_modify_healthcare_element(shared)
        reader = (await world.user("hcpA")).healthcare_element_api
        assert (await reader.get_healthcare_element(lost)).note == "changed"


# --- Answers that are not right -------------------------------------------------------------------


async def test_a_condition_without_a_secret_id_of_the_patient_is_not_listed(
    world: SecondWorld, proxy: Proxy
) -> None:
    elements = (await world.user("hcpA", proxy.url)).healthcare_element_api
    other = await world.stored("helement", OF_NED)

    async def slip_in(exchange: Exchange) -> None:
        exchange.answer["rows"].append(other)

    proxy.after("POST /helement/filter", slip_in)
    with pytest.raises(InvalidResponseError, match="does not belong to the patient"):
        await elements.get_healthcare_elements_for_patient(PATIENT)
    assert FEVER in {one.id for one in await elements.get_healthcare_elements_for_patient(PATIENT)}


async def test_a_condition_that_names_another_patient_is_not_listed(
    world: SecondWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """A secret id stands in clear in the database, where anybody who writes there can copy it."""
    (secret,) = (await world.stored("helement", FEVER))["secretForeignKeys"]
    await world.change("helement", OF_NED, secretForeignKeys=[secret])
    assert OF_NED not in await world.listed("hcpA")
    assert FEVER in await world.listed("hcpA")
    elements = (await world.user("hcpA")).healthcare_element_api
    wanted = HealthcareElementFilter().for_patients([PATIENT])
    found = {one.id async for one in elements.filter_healthcare_element(wanted)}
    assert FEVER in found
    assert OF_NED not in found
    assert f"Not listed: healthcare element {OF_NED}" in caplog.text
    # One that names nobody may be anybody's: it is listed, and not shared with all data.
    await world.change("helement", OF_NED, cryptedForeignKeys={})
    assert OF_NED in await world.listed("hcpA")
    api = await world.user("hcpA")
    access = await api.patient_api.give_access_to_all_data_of(PATIENT, IDS["hcpC"])
    assert access.healthcare_elements.not_shared == (OF_NED,)
    assert IDS["hcpC"] not in (await world.stored("helement", OF_NED))["delegations"]
    assert IDS["hcpC"] in (await world.stored("helement", FEVER))["delegations"]


async def test_an_entry_of_another_condition_says_nothing_about_this_one(
    world: SecondWorld,
) -> None:
    """The backend copies all that it takes to have a condition of another patient shared."""
    fever = await world.stored("helement", FEVER)
    await world.change(
        "helement",
        OF_NED,
        secretForeignKeys=fever["secretForeignKeys"],
        cryptedForeignKeys=fever["cryptedForeignKeys"],
    )
    api = await world.user("hcpA")
    access = await api.patient_api.give_access_to_all_data_of(PATIENT, IDS["hcpC"])
    assert access.healthcare_elements.not_shared == (OF_NED,)
    assert IDS["hcpC"] not in (await world.stored("helement", OF_NED))["delegations"]


async def test_a_condition_that_lost_a_part_is_not_built_upon(
    world: SecondWorld, proxy: Proxy
) -> None:
    elements = (await world.user("hcpA", proxy.url)).healthcare_element_api
    before = await world.stored("helement", FEVER)
    for name in ("cryptedForeignKeys", "secretForeignKeys", "delegations", "encryptionKeys"):

        async def cut(exchange: Exchange, name: str = name) -> None:
            exchange.answer.pop(name)

        proxy.after(f"GET /helement/{FEVER}", cut)
        fever = await elements.get_healthcare_element_and_try_decrypt(FEVER)
        if isinstance(fever, HealthcareElement):
            with pytest.raises((InvalidResponseError, CryptoError, DecryptionError)):
                await elements.create_or_modify_healthcare_element(fever.evolve(note="x"))
    assert await world.stored("helement", FEVER) == before
