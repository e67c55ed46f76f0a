"""Other people in the life of a patient."""

import attrs

from icure_async.models.base import ValueModel
from icure_async.models.enums import (
    PartnershipStatus,
    PartnershipType,
    PatientHealthCarePartyType,
)

__all__ = ["Partnership", "PatientHealthCareParty"]


@attrs.define(kw_only=True, repr=False)
class Partnership(ValueModel):
    """A relation between two patients (data-model.md §2).

    Attributes:
        type: what the other person is to the patient.
        status: whether the relation still holds.
        partner_id: patient id of the other person.

    Example:
        >>> Partnership(type="brother", partner_id=patient.id).type
        'brother'
    """

    type: PartnershipType | None = None
    status: PartnershipStatus | None = None
    partner_id: str | None = None


@attrs.define(kw_only=True, repr=False)
class PatientHealthCareParty(ValueModel):
    """A healthcare party that looks after a patient (data-model.md §2).

    Attributes:
        type: what the healthcare party is to the patient.
        healthcare_party_id: data owner id of the healthcare party.
    """

    type: PatientHealthCarePartyType | None = None
    healthcare_party_id: str | None = None
