"""Filters: immutable values and their builders, a module for each kind of thing they look for."""

from icure_async.models.filters.algebra import (
    Combinable,
    ComplementFilter,
    Filter,
    IntersectionFilter,
    UnionFilter,
    filter_for,
)
from icure_async.models.filters.codings import (
    AllCodingsFilter,
    CodingFilter,
    CodingsByIdsFilter,
    CodingsByLabelFilter,
)
from icure_async.models.filters.data_samples import (
    AllDataSamplesFilter,
    DataSampleFilter,
    DataSamplesByHealthcareElementIdsFilter,
    DataSamplesByIdentifiersFilter,
    DataSamplesByIdsFilter,
    DataSamplesByLabelCodeDateFilter,
    DataSamplesByPatientsFilter,
)
from icure_async.models.filters.encrypted import refuse_encrypted
from icure_async.models.filters.healthcare_elements import (
    AllHealthcareElementsFilter,
    HealthcareElementFilter,
    HealthcareElementsByIdentifiersFilter,
    HealthcareElementsByIdsFilter,
    HealthcareElementsByLabelCodeFilter,
    HealthcareElementsByPatientsFilter,
)
from icure_async.models.filters.healthcare_professionals import (
    AllHealthcareProfessionalsFilter,
    HealthcareProfessionalFilter,
    HealthcareProfessionalsByIdsFilter,
    HealthcareProfessionalsByLabelCodeFilter,
    HealthcareProfessionalsByNameFilter,
)
from icure_async.models.filters.leaf import PatientsLeaf
from icure_async.models.filters.medical_devices import (
    AllMedicalDevicesFilter,
    MedicalDeviceFilter,
    MedicalDevicesByIdsFilter,
)
from icure_async.models.filters.notifications import (
    NotificationFilter,
    NotificationsAfterDateFilter,
    NotificationsByIdentifiersFilter,
    NotificationsByIdsFilter,
    NotificationsByTypeFilter,
)
from icure_async.models.filters.patients import (
    AllPatientsFilter,
    PatientFilter,
    PatientsByDateOfBirthFilter,
    PatientsByGenderEducationProfessionFilter,
    PatientsByIdentifiersFilter,
    PatientsByIdsFilter,
    PatientsByNameFilter,
    PatientsBySsinsFilter,
)
from icure_async.models.filters.users import (
    AllUsersFilter,
    UserFilter,
    UsersByIdsFilter,
    UsersByPatientIdFilter,
)

__all__ = [
    "AllCodingsFilter",
    "AllDataSamplesFilter",
    "AllHealthcareElementsFilter",
    "AllHealthcareProfessionalsFilter",
    "AllMedicalDevicesFilter",
    "AllPatientsFilter",
    "AllUsersFilter",
    "CodingFilter",
    "CodingsByIdsFilter",
    "CodingsByLabelFilter",
    "Combinable",
    "ComplementFilter",
    "DataSampleFilter",
    "DataSamplesByHealthcareElementIdsFilter",
    "DataSamplesByIdentifiersFilter",
    "DataSamplesByIdsFilter",
    "DataSamplesByLabelCodeDateFilter",
    "DataSamplesByPatientsFilter",
    "Filter",
    "HealthcareElementFilter",
    "HealthcareElementsByIdentifiersFilter",
    "HealthcareElementsByIdsFilter",
    "HealthcareElementsByLabelCodeFilter",
    "HealthcareElementsByPatientsFilter",
    "HealthcareProfessionalFilter",
    "HealthcareProfessionalsByIdsFilter",
    "HealthcareProfessionalsByLabelCodeFilter",
    "HealthcareProfessionalsByNameFilter",
    "IntersectionFilter",
    "MedicalDeviceFilter",
    "MedicalDevicesByIdsFilter",
    "NotificationFilter",
    "NotificationsAfterDateFilter",
    "NotificationsByIdentifiersFilter",
    "NotificationsByIdsFilter",
    "NotificationsByTypeFilter",
    "PatientFilter",
    "PatientsByDateOfBirthFilter",
    "PatientsByGenderEducationProfessionFilter",
    "PatientsByIdentifiersFilter",
    "PatientsByIdsFilter",
    "PatientsByNameFilter",
    "PatientsBySsinsFilter",
    "PatientsLeaf",
    "UnionFilter",
    "UserFilter",
    "UsersByIdsFilter",
    "UsersByPatientIdFilter",
    "filter_for",
    "refuse_encrypted",
]
