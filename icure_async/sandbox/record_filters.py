"""Filters of medical records and codes, those of today's clients included (§9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.sandbox.asked_filter import (
    AskedFilter,
    Resolver,
    by_identifiers,
    by_ids,
    of_owner,
    owned,
    with_code,
)
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.links import language_word, normalised, sortable_range
from icure_async.sandbox.queries import Query, between, exactly, prefix, targets_of
from icure_async.sandbox.service_filters import SERVICE_RESOLVERS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RECORD_RESOLVERS"]

_OWNER_NAMES: Final = ("dataOwnerId", "hcpId", "hcPartyId")
"""Other names of ``healthcarePartyId``."""

_SEPARATOR: Final = "\x1f"
_LAST: Final = "\U0010ffff"


def _opened(kind: str, asked: AskedFilter, first: str, last: str) -> Query:
    """Return the entities that were opened in the range of dates asked for, if one is."""
    earliest, latest = asked.integer(first), asked.integer(last)
    if earliest is None and latest is None:
        return exactly(kind, "alive", "")
    return between(kind, "openingDate", *sortable_range(earliest, latest))


def _by_date(kind: str, secrets_name: str | None) -> Resolver:
    """Return what finds the owner's entities, of some patients if so, in the order of dates."""

    def resolve(asked: AskedFilter) -> list[str]:
        found = _opened(kind, asked, "startDate", "endDate")
        found = found.also("delegate", asked.owner(*_OWNER_NAMES))
        if secrets_name is not None:
            found = found.also("secretForeignKey", asked.strings(secrets_name))
        ids = found.ids(asked.tx)
        dates = targets_of(asked.tx, kind, "openingDate", ids)
        return sorted(
            ids,
            key=lambda entity_id: dates.get(entity_id, ""),
            reverse=bool(asked.boolean("descending")),
        )

    return resolve


def _by_patient(asked: AskedFilter) -> list[str] | list[Query]:
    """Find contacts of the owner's with a patient, and tags, codes and dates if so."""
    secrets = asked.strings("patientSecretForeignKeys")
    single = asked.string("patientSecretForeignKey")
    found = _of_contacts(asked).also("secretForeignKey", [*secrets, *([single] if single else [])])
    return _with_tags_and_codes("contact", asked, found)


def _by_tags_and_codes(asked: AskedFilter) -> list[str] | list[Query]:
    return _with_tags_and_codes("contact", asked, _of_contacts(asked))


def _of_contacts(asked: AskedFilter) -> Query:
    first, last = "startOfContactOpeningDate", "endOfContactOpeningDate"
    return _opened("contact", asked, first, last).also("delegate", asked.owner(*_OWNER_NAMES))


def _elements_by_tags_and_codes(asked: AskedFilter) -> list[str] | list[Query]:
    found = exactly("helement", "alive", "").also("delegate", asked.owner(*_OWNER_NAMES))
    return _with_tags_and_codes("helement", asked, found)


def _with_tags_and_codes(kind: str, asked: AskedFilter, found: Query) -> list[str] | list[Query]:
    wanted = [
        with_code(kind, relation, code_type, asked.string(f"{prop}Code"))
        for relation, prop in (("tags", "tag"), ("codes", "code"))
        if (code_type := asked.string(f"{prop}Type")) is not None
    ]
    if not wanted:
        return [found]
    ids = set(found.ids(asked.tx)).intersection(*(query.ids(asked.tx) for query in wanted))
    return sorted(ids)


def _of_services(relation: str, prop: str) -> Callable[[AskedFilter], list[Query]]:
    def of(asked: AskedFilter) -> list[Query]:
        code_type = asked.required(f"{prop}Type")
        return [with_code("contact", relation, code_type, asked.string(f"{prop}Code"))]

    return of


def _by_links(relation: str, prop: str) -> Callable[[AskedFilter], list[Query]]:
    return lambda asked: [exactly("contact", relation, *asked.strings(prop))]


def _by_services(asked: AskedFilter) -> list[str] | list[Query]:
    ids = asked.strings("ids")
    if not ids:
        raise bad_request(f"{asked.type}: ids is missing")
    return [exactly("contact", "service", *ids)]


def _elements_by_tag_code_status(asked: AskedFilter) -> list[str]:
    ids = _ids_of(asked, _elements_by_tags_and_codes(asked))
    status = asked.integer("status")
    if status is None:
        return ids
    found = asked.tx.each("helement", ids)
    return [one["id"] for one in found if (one.get("status") or 0) == status]


def _ids_of(asked: AskedFilter, found: list[str] | list[Query]) -> list[str]:
    each = (one.ids(asked.tx) if isinstance(one, Query) else [one] for one in found)
    return [entity_id for ids in each for entity_id in ids]


def _all_codes(_asked: AskedFilter) -> list[Query]:
    return [exactly("code", "alive", "")]


def _codes_by_text(asked: AskedFilter) -> list[Query]:
    """Find codes by region, types, language and the beginning of a word; all are optional."""
    language, label = asked.string("language"), asked.string("label")
    types = asked.strings("types") if asked.has("types") else None
    single = asked.string("type")
    if label is not None:
        query = prefix("code", "word", language_word(language or "", normalised(label)))
    elif language is not None:
        query = exactly("code", "language", language)
    else:
        query = exactly("code", "alive", "")
    if single is not None:
        query = query.also("type", [single])
    if types is not None:
        query = query.also("type", types)
    if (region := asked.string("region")) is not None:
        query = query.also("region", [region])
    return [query]


def _codes_in_interval(asked: AskedFilter) -> list[Query]:
    names = ("Type", "Code", "Version")
    first = [asked.string(f"start{name}") or "" for name in names]
    last = [asked.string(f"end{name}") for name in names]
    # A part that is left out at the end comes after everything.
    ends = [_LAST if part is None else part for part in last]
    return [between("code", "interval", _SEPARATOR.join(first), _SEPARATOR.join(ends))]


RECORD_RESOLVERS: Final[dict[str, dict[str, Resolver]]] = {
    "helement": {
        "HealthElementByDataOwnerPatientOpeningDate": _by_date(
            "helement", "patientSecretForeignKeys"
        ),
        "HealthElementByHcPartyFilter": of_owner("helement", *_OWNER_NAMES),
        "HealthElementByHcPartyIdentifiersFilter": owned(by_identifiers("helement"), *_OWNER_NAMES),
        "HealthElementByHcPartySecretForeignKeysFilter": _by_date(
            "helement", "patientSecretForeignKeys"
        ),
        "HealthElementByHcPartyTagCodeFilter": _elements_by_tag_code_status,
        "HealthElementByIdsFilter": by_ids("helement"),
    },
    "contact": {
        "ContactByDataOwnerFormIdsFilter": owned(_by_links("form", "formIds"), *_OWNER_NAMES),
        "ContactByDataOwnerOpeningDateFilter": _by_date("contact", None),
        "ContactByDataOwnerPatientOpeningDateFilter": _by_date("contact", "secretForeignKeys"),
        "ContactByDataOwnerServiceCodeFilter": owned(
            _of_services("serviceCodes", "code"), *_OWNER_NAMES
        ),
        "ContactByDataOwnerServiceTagFilter": owned(
            _of_services("serviceTags", "tag"), *_OWNER_NAMES
        ),
        "ContactByHcPartyFilter": of_owner("contact", *_OWNER_NAMES),
        "ContactByHcPartyIdentifiersFilter": owned(by_identifiers("contact"), *_OWNER_NAMES),
        "ContactByHcPartyPatientTagCodeDateFilter": _by_patient,
        "ContactByHcPartyTagCodeDateFilter": _by_tags_and_codes,
        "ContactByIdsFilter": by_ids("contact"),
        "ContactByServiceIdsFilter": _by_services,
    },
    "document": {"DocumentByIdsFilter": by_ids("document")},
    "service": SERVICE_RESOLVERS,
    "code": {
        "AllCodesFilter": _all_codes,
        "CodeByIdsFilter": by_ids("code"),
        "CodeByRegionTypeLabelLanguageFilter": _codes_by_text,
        "CodeByRegionTypesLanguageLabelVersionFilter": _codes_by_text,
        "CodeIdsByTypeCodeVersionIntervalFilter": _codes_in_interval,
    },
}
"""Kind → type of the filter → what finds its entities."""
