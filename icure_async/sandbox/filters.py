"""Filters, as queries of the index (§9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from icure_async.sandbox.access import reads_as
from icure_async.sandbox.asked_filter import (
    AskedFilter,
    Resolver,
    by_identifiers,
    by_ids,
    of_owner,
    owned,
    with_code,
)
from icure_async.sandbox.contacts import phone_key
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.links import (
    LONGEST_INDEXED,
    address_part,
    normalised,
    sortable,
    sortable_range,
)
from icure_async.sandbox.queries import Query, between, exactly, prefix
from icure_async.sandbox.record_filters import RECORD_RESOLVERS
from icure_async.sandbox.shapes import is_object
from icure_async.sandbox.tables import ENUMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from icure_async.sandbox.calls import Call
    from icure_async.sandbox.store import Transaction

__all__ = ["Found", "find", "finds"]


def _none_or(text: str | None) -> str:
    return text or ""


def _all(kind: str) -> Resolver:
    return lambda _asked: [exactly(kind, "alive", "")]


def _users_by_text(asked: AskedFilter) -> list[Query]:
    return [prefix("user", "word", normalised(asked.required("searchString")))]


def _users_by_patient(asked: AskedFilter) -> list[Query]:
    return [exactly("user", "patientId", asked.required("patientId"))]


def _patients_by_tag(asked: AskedFilter) -> list[Query]:
    asked.required("dataOwnerId")
    return [with_code("patient", "tags", asked.required("tagType"), asked.string("tagCode"))]


def _patients_by_active(asked: AskedFilter) -> list[Query]:
    active = asked.boolean("active")
    targets = ("True", "False") if active is None else (str(active),)
    return [exactly("patient", "active", *targets)]


def _patients_by_address(asked: AskedFilter) -> list[Query]:
    query = prefix("patient", "address", normalised(_none_or(asked.string("searchString"))))
    for name in ("postalCode", "houseNumber"):
        value = asked.string(name)
        if value is not None:
            query = query.containing(address_part(name, value))
    return [query]


def _patients_by_prefix(prop: str, field: str, *, required: bool) -> Resolver:
    def of(asked: AskedFilter) -> list[Query]:
        beginning = asked.required(field) if required else asked.string(field)
        return [prefix("patient", prop, _none_or(beginning))]

    return owned(of)


def _patients_by_telecom(asked: AskedFilter) -> list[Query]:
    searched = _none_or(asked.string("searchString"))
    queries = [prefix("patient", "telecom", searched.lower())]
    if digits := phone_key(searched):
        queries.append(prefix("patient", "telecomDigits", digits))
    return queries


def _patients_by_ssins(asked: AskedFilter) -> list[Query]:
    return [exactly("patient", "ssin", *asked.strings("ssins"))]


def _patients_by_birth(asked: AskedFilter) -> list[Query]:
    return [exactly("patient", "dateOfBirth", sortable(asked.required_integer("dateOfBirth")))]


def _patients_by_birth_between(asked: AskedFilter) -> list[Query]:
    earliest, latest = asked.integer("minDateOfBirth"), asked.integer("maxDateOfBirth")
    return [between("patient", "dateOfBirth", *sortable_range(earliest, latest))]


def _patients_by_profile(asked: AskedFilter) -> list[Query]:
    gender = asked.string("gender")
    education, profession = asked.string("education"), asked.string("profession")
    if gender is not None and gender not in ENUMS["Gender"]:
        raise bad_request(f"{asked.type}: gender must be one of the constants of Gender")
    if gender is not None and education is None:
        # A range over (gender, education, profession) that is open at education (§9.4).
        profession = None
    profile = {"gender": gender, "education": education, "profession": profession}
    wanted = [(name, value) for name, value in profile.items() if value is not None]
    # The last is the rarest.
    query = exactly("patient", *(wanted.pop() if wanted else ("alive", "")))
    for name, value in wanted:
        query = query.also(name, [value])
    return [query]


def _by_name(kind: str, field: str) -> Callable[[AskedFilter], list[Query]]:
    def of(asked: AskedFilter) -> list[Query]:
        query = normalised(_none_or(asked.string(field)))
        if len(query) > LONGEST_INDEXED:
            return [prefix(kind, "wholeName", "").containing(query)]
        return [prefix(kind, "name", query)]

    return of


def _hcps_by_name(asked: AskedFilter) -> list[Query] | list[str]:
    asked.required("name")
    found = _by_name("hcparty", "name")(asked)
    return found[0].ids(asked.tx)[::-1] if asked.boolean("descending") else found


def _hcps_by_tag_and_code(asked: AskedFilter) -> list[str] | list[Query]:
    tag_type, tag_code = asked.string("tagType"), asked.string("tagCode")
    code_type, code_code = asked.string("codeType"), asked.string("codeCode")
    queries: list[Query] = []
    if tag_type is not None:
        queries.append(with_code("hcparty", "tags", tag_type, tag_code))
    if code_type is not None:
        queries.append(with_code("hcparty", "codes", code_type, code_code))
    if not queries:
        raise bad_request(f"{asked.type}: tagType or codeType is missing")
    if len(queries) == 1:
        return queries
    first, second = (query.ids(asked.tx) for query in queries)
    return sorted(set(first) & set(second))


def _devices_by_responsible(asked: AskedFilter) -> list[Query]:
    owner = asked.string("responsibleId") or asked.call.caller.owner_id
    if owner is None:
        raise bad_request(f"{asked.type}: responsibleId is missing")
    return [exactly("device", "responsible", owner)]


def _tasks_after_date(asked: AskedFilter) -> list[Query]:
    dates = sortable_range(asked.required_integer("date"), None)
    return [between("maintenancetask", "created", *dates)]


def _tasks_by_type(asked: AskedFilter) -> list[Query]:
    return [exactly("maintenancetask", "taskType", asked.required("type"))]


_RESOLVERS: dict[str, dict[str, Resolver]] = {
    "user": {
        "AllUsersFilter": _all("user"),
        "UserByIdsFilter": by_ids("user"),
        "UserByNameEmailPhoneFilter": _users_by_text,
        "UsersByPatientIdFilter": _users_by_patient,
    },
    "patient": {
        "PatientByDataOwnerTagFilter": owned(_patients_by_tag, "dataOwnerId"),
        "PatientByHcPartyAndActiveFilter": owned(_patients_by_active),
        "PatientByHcPartyAndAddressFilter": owned(_patients_by_address),
        "PatientByHcPartyAndExternalIdFilter": _patients_by_prefix(
            "externalId", "externalId", required=False
        ),
        "PatientByHcPartyAndIdentifiersFilter": owned(by_identifiers("patient")),
        "PatientByHcPartyAndSsinFilter": _patients_by_prefix("ssin", "ssin", required=True),
        "PatientByHcPartyAndSsinsFilter": owned(_patients_by_ssins),
        "PatientByHcPartyAndTelecomFilter": owned(_patients_by_telecom),
        "PatientByHcPartyDateOfBirthBetweenFilter": owned(_patients_by_birth_between),
        "PatientByHcPartyDateOfBirthFilter": owned(_patients_by_birth),
        "PatientByHcPartyFilter": of_owner("patient"),
        "PatientByHcPartyGenderEducationProfession": owned(_patients_by_profile),
        "PatientByHcPartyNameContainsFuzzyFilter": owned(_by_name("patient", "searchString")),
        "PatientByHcPartyNameFilter": owned(_by_name("patient", "name")),
        "PatientByIdsFilter": by_ids("patient"),
    },
    "hcparty": {
        "AllHealthcarePartiesFilter": _all("hcparty"),
        "HealthcarePartyByIdentifiersFilter": by_identifiers("hcparty"),
        "HealthcarePartyByIdsFilter": by_ids("hcparty"),
        "HealthcarePartyByNameFilter": _hcps_by_name,
        "HealthcarePartyByTagCodeFilter": _hcps_by_tag_and_code,
    },
    "device": {
        "AllDevicesFilter": _all("device"),
        "DeviceByHcPartyFilter": _devices_by_responsible,
        "DeviceByIdsFilter": by_ids("device"),
    },
    "maintenancetask": {
        "MaintenanceTaskAfterDateFilter": owned(_tasks_after_date),
        "MaintenanceTaskByHcPartyAndIdentifiersFilter": owned(by_identifiers("maintenancetask")),
        "MaintenanceTaskByHcPartyAndTypeFilter": owned(_tasks_by_type),
        "MaintenanceTaskByIdsFilter": by_ids("maintenancetask"),
    },
    **RECORD_RESOLVERS,
}


@attrs.frozen
class Found:
    """The ids that a filter finds, of which the caller may see each.

    Attributes:
        ids: in the order of the filter; None where `query` finds them.
        query: finds them in ascending order, page by page.
    """

    ids: list[str] | None = None
    query: Query | None = None

    def all(self, tx: Transaction) -> list[str]:
        """Return all ids."""
        if self.ids is not None:
            return self.ids
        return self.query.ids(tx) if self.query else []


def find(tx: Transaction, call: Call, kind: str, body: Any) -> Found:
    """Return what a filter finds of what the caller may see.

    Raises:
        ApiError: 400 where the body is no filter for this kind.
    """
    try:
        resolved = _resolve(tx, call, kind, body)
    except RecursionError:
        raise bad_request("Too many filters lie one within the other") from None
    readers = reads_as(call, kind)
    if len(resolved) == 1 and isinstance(resolved[0], Query):
        query = resolved[0] if readers is None else resolved[0].also("reader", readers)
        return Found(query=query)
    ids = _ids(tx, resolved)
    if readers is not None:
        readable = set(exactly(kind, "reader", *readers).ids(tx))
        ids = [entity_id for entity_id in ids if entity_id in readable]
    return Found(ids=ids)


def finds(tx: Transaction, call: Call, kind: str, body: Any, entity_id: str) -> bool:
    """Return whether a filter finds one entity, and the caller may see it."""
    found = find(tx, call, kind, body)
    if found.query is not None:
        return found.query.ids(tx, first=entity_id, limit=1) == [entity_id]
    return entity_id in found.all(tx)


def _resolve(tx: Transaction, call: Call, kind: str, body: Any) -> list[str] | list[Query]:
    if not is_object(body):
        raise bad_request("The filter must be a JSON object")
    asked = AskedFilter(tx, call, body)
    if asked.type == "UnionFilter":
        return list(dict.fromkeys(_each_of(kind, asked, "filters")))
    if asked.type == "IntersectionFilter":
        members = [_ids(tx, _resolve(tx, call, kind, part)) for part in asked.objects("filters")]
        common = set(members[0]).intersection(*members[1:]) if members else set[str]()
        return [entity_id for entity_id in (members[0] if members else ()) if entity_id in common]
    if asked.type == "ComplementFilter":
        everything = _ids(tx, _resolve(tx, call, kind, body.get("superSet")))
        removed = set(_ids(tx, _resolve(tx, call, kind, body.get("subSet"))))
        return [entity_id for entity_id in everything if entity_id not in removed]
    resolver = _RESOLVERS[kind].get(asked.type)
    if resolver is None:
        raise bad_request(f"{asked.type or 'A filter without $type'} is no filter for {kind}")
    return resolver(asked)


def _each_of(kind: str, asked: AskedFilter, name: str) -> list[str]:
    members = [_resolve(asked.tx, asked.call, kind, part) for part in asked.objects(name)]
    return [entity_id for member in members for entity_id in _ids(asked.tx, member)]


def _ids(tx: Transaction, resolved: list[str] | list[Query]) -> list[str]:
    ids: dict[str, None] = {}
    for one in resolved:
        ids.update(dict.fromkeys(one.ids(tx) if isinstance(one, Query) else [one]))
    return list(ids)
