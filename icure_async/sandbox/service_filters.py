"""Filters of data samples (§9.3): they find versions, and name the samples that have those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.sandbox.asked_filter import Resolver, by_identifiers, with_code
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.links import clinical_date, sortable_range
from icure_async.sandbox.queries import Query, between, exactly, targets_of
from icure_async.sandbox.services import SERVICE, VERSION, service_of_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from icure_async.sandbox.asked_filter import AskedFilter

__all__ = ["SERVICE_RESOLVERS"]

_OWNER_NAMES: Final = ("hcpId", "hcPartyId", "dataOwnerId")


def _samples(versions: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(map(service_of_version, versions)))


def _found(of: Callable[[AskedFilter], list[Query]]) -> Resolver:
    """Return what finds the samples with a version of the owner's that a query finds."""

    def resolve(asked: AskedFilter) -> list[str]:
        queries, owner = of(asked), asked.owner(*_OWNER_NAMES)
        return _samples(
            version for query in queries for version in query.also("delegate", owner).ids(asked.tx)
        )

    return resolve


def _all(_asked: AskedFilter) -> list[Query]:
    return [exactly(VERSION, "alive", "")]


def _by_ids(asked: AskedFilter) -> list[str]:
    ids = dict.fromkeys(asked.strings("ids", required=True))
    return [reference["id"] for reference in asked.tx.each(SERVICE, ids)]


def _by_links(relation: str, prop: str, *, required: bool = False) -> Resolver:
    def of(asked: AskedFilter) -> list[Query]:
        return [exactly(VERSION, relation, *asked.strings(prop, required=required))]

    return _found(of)


def _secrets(asked: AskedFilter) -> list[str] | None:
    """Return the keys of patients that are asked for, or None if all patients are meant."""
    single = asked.string("patientSecretForeignKey")
    several = asked.strings("patientSecretForeignKeys")
    if single is None and not asked.has("patientSecretForeignKeys"):
        return None
    return [*several, *([] if single is None else [single])]


def _dated(asked: AskedFilter) -> Query | None:
    """Return the versions in the range of dates that is asked for, if one is."""
    first, last = asked.integer("startValueDate"), asked.integer("endValueDate")
    if first is None and last is None:
        return None
    bounds = [None if bound is None else clinical_date(bound) for bound in (first, last)]
    return between(VERSION, "valueDate", *sortable_range(bounds[0], bounds[1]))


def _by_tag_code_date(asked: AskedFilter) -> list[str]:
    """Find by any of tag, code, date and patient: several criteria must all hold.

    Each may hold for another version, as the backend looks each up by itself.
    """
    owner, secrets, dated = asked.owner(*_OWNER_NAMES), _secrets(asked), _dated(asked)
    criteria = [
        with_code(VERSION, relation, code_type, asked.string(f"{prop}Code"))
        for relation, prop in (("tags", "tag"), ("codes", "code"))
        if (code_type := asked.string(f"{prop}Type")) is not None
    ] or [exactly(VERSION, "alive", "")]
    found: list[list[str]] = []
    within = None if dated is None else set(dated.ids(asked.tx))
    for query in criteria:
        query = query.also("delegate", owner)
        if secrets is not None:
            query = query.also("secretForeignKey", secrets)
        ids = query.ids(asked.tx)
        found.append([one for one in ids if within is None or one in within])
    dates = targets_of(asked.tx, VERSION, "valueDate", found[0])
    descending = bool(asked.boolean("descending"))
    ordered = sorted(found[0], key=lambda one: dates.get(one, ""), reverse=descending)
    common = set(_samples(found[0])).intersection(*map(_samples, found[1:]))
    return [sample for sample in _samples(ordered) if sample in common]


def _by_contacts(asked: AskedFilter) -> list[str]:
    contacts, parts = asked.strings("contacts", required=True), asked.strings("subContacts")
    owner, dated = asked.owner(*_OWNER_NAMES), _dated(asked)
    query = exactly(VERSION, "contact", *contacts).also("delegate", owner)
    if asked.has("subContacts"):
        query = query.also("subContact", parts)
    versions = query.ids(asked.tx)
    if dated is not None:
        within = set(dated.ids(asked.tx))
        versions = [one for one in versions if one in within]
    return _samples(versions)


def _by_patient_codes(asked: AskedFilter) -> list[str]:
    """Find by a patient, if one is asked for, and a tag or code of several types."""
    owner, secrets, dated = asked.owner(*_OWNER_NAMES), _secrets(asked), _dated(asked)
    within = None if dated is None else set(dated.ids(asked.tx))
    found: list[str] = []
    for relation, prop in (("tags", "tagCodes"), ("codes", "codeCodes")):
        for code_type, codes in asked.lists_by_key(prop).items():
            wanted: list[str | None] = [*codes] or [None]
            for code in wanted:
                query = with_code(VERSION, relation, code_type, code).also("delegate", owner)
                if secrets is not None:
                    query = query.also("secretForeignKey", secrets)
                found += [one for one in query.ids(asked.tx) if within is None or one in within]
    return _samples(found)


def _by_association(asked: AskedFilter) -> list[str]:
    association = asked.string("associationId")
    if association is None:
        raise bad_request(f"{asked.type}: associationId is missing")
    return _samples(exactly(VERSION, "association", association).ids(asked.tx))


_BY_PATIENT: Final = _by_links("secretForeignKey", "patientSecretForeignKeys", required=True)

SERVICE_RESOLVERS: Final[dict[str, Resolver]] = {
    "ServiceByAssociationIdFilter": _by_association,
    "ServiceByContactsAndSubcontactsFilter": _by_contacts,
    "ServiceByDataOwnerPatientDateFilter": _by_tag_code_date,
    "ServiceByHcPartyFilter": _found(_all),
    "ServiceByHcPartyHealthElementIdsFilter": _by_links("healthElement", "healthElementIds"),
    "ServiceByHcPartyIdentifiersFilter": _found(by_identifiers(VERSION)),
    "ServiceByHcPartyPatientCodesFilter": _by_patient_codes,
    "ServiceByHcPartyTagCodeDateFilter": _by_tag_code_date,
    "ServiceByHcPartyTagCodesFilter": _by_patient_codes,
    "ServiceByIdsFilter": _by_ids,
    "ServiceBySecretForeignKeys": _BY_PATIENT,
    "ServiceBySecretForeignKeysFilter": _BY_PATIENT,
}
"""Type of the filter → what finds its data samples."""
