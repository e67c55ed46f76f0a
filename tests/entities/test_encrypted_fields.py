"""Any choice of further members: encrypted with all that repeats them, and read as they were."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final, cast

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icure_async import (
    Address,
    AnonymousMedTechApiBuilder,
    CodingReference,
    Identifier,
    MedTechApiBuilder,
    Partnership,
    Patient,
    PatientHealthCareParty,
    PersonName,
    Property,
    Telecom,
)
from icure_async.entities.encrypted_fields import encrypting, exposed_fields, with_missing
from icure_async.entities.encrypted_self import decrypt_members, encrypt_members
from icure_async.entities.kinds import NOTIFICATION, PATIENT
from icure_async.errors import ValidationError
from icure_async.models.fields import members_of
from icure_async.models.wire import from_wire, to_wire
from tests.support.golden_people import CRYPTO

KEY: Final = bytes(range(16))

_FIELDS: Final = {member.name: member for member in members_of(cast("Any", Patient))}
ENCRYPTABLE: Final = sorted(_FIELDS.keys() - PATIENT.never_encrypted)
MARK: Final = "SECRET"

_WORDS: Final = st.text(max_size=8).map(lambda text: f"{MARK}{text}")
_VALUES: Final[dict[str, st.SearchStrategy[Any]]] = {
    "addresses": st.lists(
        st.builds(
            Address,
            city=_WORDS,
            telecoms=st.lists(st.builds(Telecom, telecom_number=_WORDS), max_size=2),
            unknown_fields=st.just({"newer": [{"deep": MARK}, 1.5]}),
        ),
        max_size=2,
    ),
    "birth_sex": st.sampled_from(["male", "female"]),
    "date_of_birth": st.integers(1900, 2025).map(lambda year: year * 10000),
    "date_of_death": st.integers(1900, 2025).map(lambda year: year * 10000),
    "deactivation_reason": st.sampled_from(["deceased", "moved"]),
    "deceased": st.booleans(),
    "gender": st.sampled_from(["male", "female"]),
    "identifiers": st.lists(st.builds(Identifier, value=_WORDS), max_size=2),
    "languages": st.lists(_WORDS, max_size=2),
    "names": st.lists(
        st.builds(
            PersonName,
            last_name=_WORDS,
            first_names=st.lists(_WORDS, max_size=2),
            text=_WORDS,
            use=st.sampled_from(["official", "maiden", "usual", "nickname"]),
        ),
        max_size=3,
    ),
    "parameters": st.dictionaries(_WORDS, st.lists(_WORDS, max_size=1), max_size=2),
    "partnerships": st.lists(st.builds(Partnership, partner_id=_WORDS), max_size=2),
    "patient_health_care_parties": st.lists(
        st.builds(PatientHealthCareParty, healthcare_party_id=_WORDS), max_size=2
    ),
    "patient_professions": st.lists(st.builds(CodingReference, code=_WORDS), max_size=2),
    "personal_status": st.sampled_from(["single", "widowed"]),
    "picture": st.binary(max_size=20),
    "properties": st.lists(st.builds(Property, id=_WORDS), max_size=2),
}
_PATIENTS: Final = st.fixed_dictionaries(
    {}, optional={name: _VALUES.get(name, _WORDS) for name in ENCRYPTABLE}
).map(lambda members: Patient(id="p", rev="1-a", **members))


async def _sealed(kind: Any, patient: Patient) -> dict[str, Any]:
    document = with_missing(kind, kind.complete(to_wire(patient)))
    return await encrypt_members(CRYPTO, KEY, document, kind.encrypted)


async def _opened(document: dict[str, Any]) -> dict[str, Any]:
    opened = await decrypt_members(CRYPTO, KEY, document)
    del opened["encryptedSelf"]
    return opened


def _content(patient: Patient, kind: Any = PATIENT) -> dict[str, Any]:
    return to_wire(from_wire(Patient, kind.complete(to_wire(patient))))


def _read(document: dict[str, Any]) -> dict[str, Any]:
    """The members of a document as a patient has them, with what a list lacks as an empty one."""
    wire = to_wire(from_wire(Patient, document))
    return {name: value for name, value in wire.items() if value not in ([], {})}


@settings(max_examples=60)
@given(_PATIENTS, st.sets(st.sampled_from(ENCRYPTABLE)), st.data())
def test_any_members_are_hidden_with_their_copies_and_read_as_they_were(
    patient: Patient, fields: set[str], data: st.DataObject
) -> None:
    kind = encrypting(PATIENT, fields)
    sealed = asyncio.run(_sealed(kind, patient))
    # Nothing of them is left, wherever it is repeated.
    for name in kind.encrypted:
        assert name not in sealed
    if fields & {"first_name", "last_name", "maiden_name", "alias", "names"}:
        assert "names" not in sealed
    opened = asyncio.run(_opened(sealed))
    defaults = {
        name: value for name, value in PATIENT.server_defaults.items() if name in kind.encrypted
    }
    expected = {**defaults, **_read(_content(patient, kind))}
    assert {**defaults, **_read(opened)} == expected

    # A member that a backend adds next to it in clear is not believed.
    planted = {
        name: data.draw(st.sampled_from(["PLANTED", [], [{"city": "PLANTED"}], None]))
        for name in kind.also_encrypted
    }
    assert asyncio.run(_opened({**sealed, **planted})) == opened

    # Nor after somebody without the option has saved it.
    again = asyncio.run(encrypt_members(CRYPTO, KEY, {**sealed, **opened}, PATIENT.encrypted))
    assert again.keys() == sealed.keys()
    assert asyncio.run(_opened({**again, **planted})) == opened


@settings(max_examples=30)
@given(_PATIENTS, st.sets(st.sampled_from(ENCRYPTABLE)))
def test_what_was_saved_in_clear_is_seen_and_hidden_by_the_next_save(
    patient: Patient, fields: set[str]
) -> None:
    kind = encrypting(PATIENT, fields)
    in_clear = asyncio.run(encrypt_members(CRYPTO, KEY, _content(patient), ["note"]))
    exposed = exposed_fields(kind, in_clear)
    assert set(exposed) == {
        name
        for name in ENCRYPTABLE
        if _FIELDS[name].wire in kind.also_encrypted
        and getattr(from_wire(Patient, in_clear), name) not in (None, "", b"", [], {})
    }
    read = from_wire(Patient, asyncio.run(_opened(in_clear)))
    sealed = asyncio.run(_sealed(kind, read))
    assert exposed_fields(kind, sealed) == ()
    text = json.dumps({name: sealed[name] for name in sealed if name != "encryptedSelf"})
    if fields >= set(ENCRYPTABLE):
        assert MARK not in text


async def test_all_members_together_leave_no_word_in_clear() -> None:
    patient = Patient(
        id="p",
        rev="1-a",
        first_name=MARK,
        last_name=MARK,
        maiden_name=MARK,
        alias=MARK,
        note=MARK,
        addresses=[Address(city=MARK, telecoms=[Telecom(telecom_number=MARK)])],
        names=[PersonName(use="usual", text=f"Dr. {MARK}")],
        parameters={MARK: [MARK]},
    )
    sealed = await _sealed(encrypting(PATIENT, ENCRYPTABLE), patient)
    assert sealed.keys() == {
        *("id", "rev", "encryptedSelf", "tags", "codes", "mergedIds"),
    }
    assert MARK not in json.dumps(sealed)


@pytest.mark.parametrize("fields", [["names"], ["names", "maiden_name"]])
async def test_a_name_that_is_encrypted_is_not_repeated_in_clear(fields: list[str]) -> None:
    """The reference fills the other members from the list."""
    names = [
        PersonName(use="official", last_name=f"{MARK}1", first_names=[f"{MARK}2"]),
        PersonName(use="maiden", last_name=f"{MARK}3"),
        PersonName(use="nickname", last_name=f"{MARK}4"),
    ]
    kind = encrypting(PATIENT, fields)
    sealed = await _sealed(kind, Patient(id="p", rev="1-a", names=names))
    assert MARK not in json.dumps(sealed)
    read = from_wire(Patient, await _opened(sealed))
    assert read.names == names
    assert read.maiden_name == (f"{MARK}3" if "maiden_name" in fields else None)
    # The other way round, they are.
    sealed = await _sealed(kind, Patient(id="p", rev="1-a", alias="Crow"))
    read = from_wire(Patient, await _opened(sealed))
    assert (read.alias, [name.last_name for name in read.names]) == ("Crow", ["Crow"])


async def test_elements_that_were_encrypted_one_by_one_are_so_as_a_whole_only() -> None:
    """As today's iCure can write them: their former content must not outlast a change."""
    inner = await encrypt_members(CRYPTO, KEY, {"id": "x", "city": "Ghent"}, ["city"])
    del inner["id"]
    document = {
        "id": "p",
        "rev": "1-a",
        "addresses": [{**inner, "country": "BE", "newer": 1}, {"city": "Bruges"}],
        "encryptedSelf": (await encrypt_members(CRYPTO, KEY, {}, []))["encryptedSelf"],
    }
    read = from_wire(Patient, await decrypt_members(CRYPTO, KEY, document))
    assert [address.city for address in read.addresses] == ["Ghent", "Bruges"]
    read.addresses[0].city = "Leuven"
    sealed = await _sealed(encrypting(PATIENT, ["addresses"]), read)
    assert "addresses" not in sealed
    opened = await _opened(sealed)
    assert opened["addresses"] == [
        {"country": "BE", "city": "Leuven", "newer": 1},
        {"city": "Bruges"},
    ]
    assert "encryptedSelf" not in json.dumps(opened["addresses"])


async def test_an_element_that_is_encrypted_for_another_record_is_refused() -> None:
    other = bytes(range(1, 17))
    inner = await encrypt_members(CRYPTO, other, {"city": "Ghent"}, ["city"])
    patient = Patient(id="p", rev="1-a", addresses=[Address(unknown_fields=inner)])
    with pytest.raises(ValueError, match=r"."):
        await _sealed(encrypting(PATIENT, ["addresses"]), patient)


async def test_the_order_of_members_stays() -> None:
    kind = encrypting(PATIENT, ["addresses", "first_name"])
    patient = Patient(id="p", rev="1-a", first_name="A", note="n")
    sealed = await _sealed(kind, patient)
    assert list(await _opened({"encryptedSelf": sealed["encryptedSelf"]})) == [
        *("note", "addresses", "firstName", "names"),
    ]


def test_a_kind_says_what_is_encrypted() -> None:
    kind = encrypting(PATIENT, ["maiden_name", "identifiers", "note", "maiden_name"])
    assert kind.encrypted == ("note", "maidenName", "names", "identifier")
    assert kind.also_encrypted == {"maidenName": None, "names": [], "identifier": []}
    assert kind.always_encrypted == PATIENT.always_encrypted == PATIENT.encrypted == ("note",)
    assert PATIENT.also_encrypted == {}
    # A missing one is read as the backend would fill it in anyway.
    assert encrypting(PATIENT, ["gender"]).also_encrypted == {"gender": "unknown"}
    further = encrypting(kind, ["parameters"])
    assert further.encrypted == (*kind.encrypted, "parameters")
    assert further.also_encrypted["parameters"] == {}
    assert encrypting(PATIENT, []).encrypted == PATIENT.encrypted
    assert attrs.asdict(encrypting(NOTIFICATION, []))["encrypted"] == ("properties",)


@pytest.mark.parametrize("builder", [AnonymousMedTechApiBuilder, MedTechApiBuilder])
def test_the_builders_refuse_what_cannot_be_encrypted(
    builder: type[AnonymousMedTechApiBuilder | MedTechApiBuilder],
) -> None:
    options = builder()
    for name in sorted(PATIENT.never_encrypted):
        with pytest.raises(ValidationError, match=f"The {name} of a patient can't be encrypted"):
            options.with_encrypted_fields(patient=[name])
    with pytest.raises(ValidationError, match=r"'firstName'.*Did you mean 'first_name'"):
        options.with_encrypted_fields(patient=["firstName"])
    for unknown in ("tags", "unknown_fields", "exposed_fields", "", "encrypted_self"):
        with pytest.raises(ValidationError, match=f"no attribute '{unknown}'"):
            options.with_encrypted_fields(patient=[unknown])
    wrong: Any
    for wrong in ("first_name", 7, None, {"first_name": True}, [None], [["first_name"]]):
        with pytest.raises(ValidationError, match="must be"):
            options.with_encrypted_fields(patient=wrong)
    assert options.with_encrypted_fields(patient=iter(["first_name"])) is options
    assert options.with_encrypted_fields() is options
