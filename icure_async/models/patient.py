"""Patients, readable and not."""

import datetime as dt
from typing import TypeAlias

import attrs

from icure_async.models.addresses import Address
from icure_async.models.base import EntityModel
from icure_async.models.codes import CodingReference, Identifier
from icure_async.models.dates import FUZZY_DATE, MOMENT, given_date, given_moment, whole_day
from icure_async.models.enums import DeactivationReason, Gender, PersonalStatus
from icure_async.models.json_values import hidden
from icure_async.models.names import PersonName
from icure_async.models.properties import Property
from icure_async.models.relations import Partnership, PatientHealthCareParty
from icure_async.models.system_meta_data import SystemMetaDataOwnerEncrypted

__all__ = ["EncryptedPatient", "Patient", "PotentiallyEncryptedPatient"]


# Nobody makes one, so that a constructor and comparisons would only take time to generate.
@attrs.define(kw_only=True, repr=False, init=False, eq=False)
class _PatientMembers(EntityModel):
    """The members that readable and unreadable patients have in common."""

    identifiers: list[Identifier] = attrs.field(
        factory=list[Identifier], metadata={"wire": "identifier"}
    )
    created: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    modified: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    author: str | None = None
    responsible: str | None = None
    labels: list[CodingReference] = attrs.field(
        factory=list[CodingReference], metadata={"wire": "tags"}
    )
    codes: list[CodingReference] = attrs.field(factory=list[CodingReference])
    end_of_life: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    deletion_date: int | None = attrs.field(default=None, converter=given_moment, metadata=MOMENT)
    first_name: str | None = None
    last_name: str | None = None
    names: list[PersonName] = attrs.field(factory=list[PersonName])
    company_name: str | None = None
    languages: list[str] | None = None
    addresses: list[Address] = attrs.field(factory=list[Address])
    civility: str | None = None
    gender: Gender | None = None
    birth_sex: Gender | None = None
    merge_to_patient_id: str | None = None
    merged_ids: list[str] = attrs.field(factory=list[str])
    alias: str | None = None
    active: bool | None = None
    deactivation_reason: DeactivationReason | None = None
    ssin: str | None = None
    maiden_name: str | None = None
    spouse_name: str | None = None
    partner_name: str | None = None
    personal_status: PersonalStatus | None = None
    date_of_birth: int | None = attrs.field(
        default=None, converter=given_date, metadata={"is_fuzzy_date": True, **FUZZY_DATE}
    )
    date_of_death: int | None = attrs.field(
        default=None, converter=given_date, metadata={"is_fuzzy_date": True, **FUZZY_DATE}
    )
    place_of_birth: str | None = None
    place_of_death: str | None = None
    deceased: bool | None = None
    education: str | None = None
    profession: str | None = None
    note: str | None = None
    administrative_note: str | None = None
    nationality: str | None = None
    race: str | None = None
    ethnicity: str | None = None
    picture: bytes | None = None
    external_id: str | None = None
    partnerships: list[Partnership] = attrs.field(factory=list[Partnership])
    patient_health_care_parties: list[PatientHealthCareParty] = attrs.field(
        factory=list[PatientHealthCareParty]
    )
    patient_professions: list[CodingReference] = attrs.field(factory=list[CodingReference])
    parameters: dict[str, list[str]] | None = None
    properties: list[Property] = attrs.field(factory=list[Property])
    system_meta_data: SystemMetaDataOwnerEncrypted | None = attrs.field(
        default=None, metadata={"flat": True}
    )

    @property
    def date_of_birth_as_date(self) -> dt.date | None:
        """The day of birth; None where it is not known as far as the day."""
        return whole_day(self.date_of_birth)

    @property
    def date_of_death_as_date(self) -> dt.date | None:
        """The day of death; None where it is not known as far as the day."""
        return whole_day(self.date_of_death)


@attrs.define(kw_only=True, repr=False)
class Patient(_PatientMembers):
    """A patient (data-model.md §3.1).

    ``note`` is encrypted, and so is each field that ``with_encrypted_fields()`` of the builder
    names. Everything else is in clear on the backend.

    Attributes:
        id: id of the patient; made by the SDK when the patient is created without one.
        rev: revision; a patient without one is created when it is saved, one with it modified.
        identifiers: names of the patient in other systems.
        created: when the patient was created, in epoch milliseconds.
        modified: when the patient was last modified, in epoch milliseconds.
        author: id of the user who created the patient.
        responsible: id of the data owner who is responsible for the patient.
        labels: labels (``tags`` on the wire).
        codes: codes of terminologies.
        end_of_life: when the record was closed, in epoch milliseconds.
        deletion_date: when the record was deleted, in epoch milliseconds.
        first_name: given name.
        last_name: family name.
        names: all names. The official, maiden and nickname entries that are missing are added from
            ``last_name``, ``maiden_name`` and ``alias`` on saving (data-model.md §3.3).
        company_name: name of the company, where the patient is one.
        languages: languages spoken, preferred ones first. None where nothing is known.
        addresses: postal addresses with telephone numbers and email addresses.
        civility: form of address.
        gender: gender now.
        birth_sex: gender at birth.
        merge_to_patient_id: id of the patient this record was merged into.
        merged_ids: ids of the patients merged into this record.
        alias: nickname.
        active: whether the patient is followed. None where nothing is known.
        deactivation_reason: why the patient is not followed any more.
        ssin: number in the national register.
        maiden_name: family name at birth.
        spouse_name: name of the spouse.
        partner_name: name of the partner.
        personal_status: civil status.
        date_of_birth: fuzzy date, ``YYYYMMDD``; month and day may be ``00``. It may be given as a
            ``datetime.date``, and is the integer at once.
        date_of_death: fuzzy date, like the date of birth.
        place_of_birth: place of birth.
        place_of_death: place of death.
        deceased: whether the patient is dead.
        education: education.
        profession: profession.
        note: free text, encrypted end to end.
        administrative_note: free text, in clear on the backend.
        nationality: nationality.
        race: race.
        ethnicity: ethnicity.
        picture: an image file.
        external_id: id in another system.
        partnerships: relations to other patients.
        patient_health_care_parties: healthcare parties that look after the patient.
        patient_professions: professions, as codes.
        parameters: values set by applications.
        properties: properties set by applications.
        system_meta_data: keys and delegations, kept up by the SDK.
        unknown_fields: members a newer backend sent, written back as they are; None if the patient
            was not read from a backend.
        exposed_fields: fields that ``with_encrypted_fields()`` names, and that were found in clear
            on the backend: saved by another SDK, or before they were to be encrypted. Saving the
            patient encrypts them.

    Example:
        >>> patient = Patient(first_name="Arya", last_name="Stark", note="Afraid of nothing")
        >>> patient  # a repr shows ids, and nothing of the content
        Patient(id=None, rev=None)
        >>> patient.to_dict()["firstName"]
        'Arya'
        >>> Patient.from_dict(patient.to_dict()) == patient
        True
    """


@attrs.define(kw_only=True, repr=False)
class EncryptedPatient(_PatientMembers):
    """A patient whose encrypted members could not be decrypted with the keys on this device.

    It has the members of :class:`Patient`; the encrypted ones are unset, and what they were is
    still inside ``system_meta_data.encrypted_self`` (data-model.md §3.1).

    Example:
        >>> found = await colleague_api.patient_api.get_patient_and_try_decrypt(patient.id)
        >>> isinstance(found, EncryptedPatient), found.note
        (True, None)
    """

    # Anybody may have written the note of a patient that can't be read.
    note: str | None = attrs.field(default=None, metadata={"reads": hidden})


PotentiallyEncryptedPatient: TypeAlias = Patient | EncryptedPatient
"""A patient that may or may not be readable."""
