"""Filters, predicates and pages (§8, §9)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from icure_async.sandbox.calls import Call
from icure_async.sandbox.contacts import phone_key
from icure_async.sandbox.dto import SCHEMAS
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.shapes import is_integer, is_list, is_object, is_string_list, list_in
from icure_async.sandbox.store import Json, Transaction
from icure_async.sandbox.tables import ENUMS

__all__ = ["filter_page", "match_ids", "page_of"]

_DEFAULT_LIMIT = 1000
_SHORTEST_INDEXED = 3

Readable = Callable[[Call, str, Json], bool]
Show = Callable[[str, Json], Json]


class _Filter:
    """The filter of a request, with checked access to its fields."""

    def __init__(self, tx: Transaction, call: Call, fields: Json) -> None:
        self.tx = tx
        self.call = call
        self._fields = fields
        self.type: str = fields.get("$type", "")

    def string(self, *names: str) -> str | None:
        for name in names:
            value = self._fields.get(name)
            if value is not None:
                if not isinstance(value, str):
                    raise bad_request(f"{self.type}: {name} must be a string")
                return value
        return None

    def required(self, *names: str) -> str:
        value = self.string(*names)
        if value is None:
            raise bad_request(f"{self.type}: {names[0]} is missing")
        return value

    def integer(self, name: str) -> int | None:
        value = self._fields.get(name)
        if value is not None and not is_integer(value):
            raise bad_request(f"{self.type}: {name} must be an integer")
        return value

    def required_integer(self, name: str) -> int:
        value = self.integer(name)
        if value is None:
            raise bad_request(f"{self.type}: {name} is missing")
        return value

    def boolean(self, name: str) -> bool | None:
        value = self._fields.get(name)
        if value is not None and not isinstance(value, bool):
            raise bad_request(f"{self.type}: {name} must be true or false")
        return value

    def strings(self, name: str, *, required: bool = False) -> list[str]:
        value = self._fields.get(name)
        if value is None:
            if required:
                raise bad_request(f"{self.type}: {name} is missing")
            return []
        if not is_string_list(value):
            raise bad_request(f"{self.type}: {name} must be a list of strings")
        return value

    def objects(self, name: str) -> list[Json]:
        value = list_in(self._fields, name)
        if not is_list(value) or not all(is_object(item) for item in value):
            raise bad_request(f"{self.type}: {name} must be a list of objects")
        return value

    def owned(self, kind: str, *names: str) -> Iterator[Json]:
        """Entities of the owner that the filter names, by default the caller."""
        caller = self.call.caller
        owner = self.string(*names, "healthcarePartyId", "healthCarePartyId") or caller.owner_id
        if owner is None:
            raise bad_request(f"{self.type}: healthcarePartyId is missing")
        may_ask_for_others = caller.is_admin or (self.call.legacy and caller.is_hcp)
        if owner not in caller.identities and not may_ask_for_others:
            return iter(())
        return self.tx.linked(kind, "delegate", owner)


Resolver = Callable[[_Filter], Iterable[Json]]


def _normalised(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in decomposed if c.isalnum() and not unicodedata.combining(c))


def _occurs(query: str, *texts: str) -> bool:
    """Return whether a normalised query starts a suffix of at least three characters of a text."""
    for text in texts:
        indexed = _normalised(text)
        last = max(1, len(indexed) - _SHORTEST_INDEXED + 1)
        if indexed and any(indexed.startswith(query, start) for start in range(last)):
            return True
    return False


def _has_code(stubs: list[Json], code_type: str | None, code: str | None) -> bool:
    return any(
        stub.get("type") == code_type and (code is None or stub.get("code") == code)
        for stub in stubs
    )


def _has_identifier(entity: Json, prop: str, wanted: list[Json]) -> bool:
    return any(
        identifier.get("system") == asked.get("system")
        and (asked.get("value") is None or identifier.get("value") == asked["value"])
        for identifier in list_in(entity, prop)
        for asked in wanted
    )


def _telecoms(entity: Json) -> Iterator[Json]:
    for address in list_in(entity, "addresses"):
        yield from list_in(address, "telecoms")


def _by_ids(kind: str) -> Resolver:
    def resolve(asked: _Filter) -> Iterator[Json]:
        for entity_id in asked.strings("ids", required=True):
            entity = asked.tx.get(kind, entity_id)
            if entity is not None:
                yield entity

    return resolve


def _all(kind: str) -> Resolver:
    return lambda asked: asked.tx.all(kind)


def _users_by_text(asked: _Filter) -> Iterator[Json]:
    query = _normalised(asked.required("searchString"))
    for user in asked.tx.all("user"):
        values = [user.get(prop) or "" for prop in ("login", "name", "email", "mobilePhone")]
        words = [word for value in values for word in (value, *re.split(r"[^\w]+", value))]
        if any(_normalised(word).startswith(query) for word in words if word):
            yield user


def _users_by_patient(asked: _Filter) -> Iterator[Json]:
    return asked.tx.linked("user", "patientId", asked.required("patientId"))


def _patients(asked: _Filter) -> Iterator[Json]:
    return asked.owned("patient")


def _patients_by_tag(asked: _Filter) -> Iterator[Json]:
    tag_type, tag_code = asked.required("tagType"), asked.string("tagCode")
    asked.required("dataOwnerId")
    for patient in asked.owned("patient", "dataOwnerId"):
        if _has_code(list_in(patient, "tags"), tag_type, tag_code):
            yield patient


def _patients_by_active(asked: _Filter) -> Iterator[Json]:
    active = asked.boolean("active")
    for patient in asked.owned("patient"):
        if active is None or patient.get("active", True) == active:
            yield patient


def _patients_by_address(asked: _Filter) -> Iterator[Json]:
    query = _normalised(asked.string("searchString") or "")
    postal_code, house_number = asked.string("postalCode"), asked.string("houseNumber")
    for patient in asked.owned("patient"):
        for address in list_in(patient, "addresses"):
            place = [address.get("street") or "", address.get("city") or ""]
            words = ["".join(place), *place]
            if (
                any(_normalised(word).startswith(query) for word in words)
                and postal_code in (None, address.get("postalCode"))
                and house_number in (None, address.get("houseNumber"))
            ):
                yield patient
                break


def _patients_by_prefix(prop: str, field: str, *, required: bool) -> Resolver:
    def resolve(asked: _Filter) -> Iterator[Json]:
        prefix = (asked.required(field) if required else asked.string(field)) or ""
        for patient in asked.owned("patient"):
            value = patient.get(prop)
            if value is not None and value.startswith(prefix):
                yield patient

    return resolve


def _patients_by_telecom(asked: _Filter) -> Iterator[Json]:
    query = asked.string("searchString") or ""
    digits = phone_key(query)
    for patient in asked.owned("patient"):
        numbers = [telecom.get("telecomNumber") or "" for telecom in _telecoms(patient)]
        if any(
            number.lower().startswith(query.lower())
            or (digits and phone_key(number).startswith(digits))
            for number in numbers
            if number
        ):
            yield patient


def _patients_by_ssins(asked: _Filter) -> Iterator[Json]:
    ssins = set(asked.strings("ssins"))
    return (patient for patient in asked.owned("patient") if patient.get("ssin") in ssins)


def _patients_by_identifiers(asked: _Filter) -> Iterator[Json]:
    wanted = asked.objects("identifiers")
    for patient in asked.owned("patient"):
        if _has_identifier(patient, "identifier", wanted):
            yield patient


def _patients_by_birth(asked: _Filter) -> Iterator[Json]:
    date = asked.required_integer("dateOfBirth")
    return (patient for patient in asked.owned("patient") if patient.get("dateOfBirth") == date)


def _patients_by_birth_between(asked: _Filter) -> Iterator[Json]:
    earliest, latest = asked.integer("minDateOfBirth"), asked.integer("maxDateOfBirth")
    for patient in asked.owned("patient"):
        date = patient.get("dateOfBirth")
        if (
            date is not None
            and (earliest is None or earliest <= date)
            and (latest is None or date <= latest)
        ):
            yield patient


def _patients_by_profile(asked: _Filter) -> Iterator[Json]:
    gender = asked.string("gender")
    education, profession = asked.string("education"), asked.string("profession")
    if gender is not None and gender not in ENUMS["Gender"]:
        raise bad_request(f"{asked.type}: gender must be one of the constants of Gender")
    if gender is not None and education is None:
        # A range over (gender, education, profession) that is open at education (§9.4).
        profession = None
    for patient in asked.owned("patient"):
        if (
            gender in (None, patient.get("gender", "unknown"))
            and education in (None, patient.get("education"))
            and profession in (None, patient.get("profession"))
        ):
            yield patient


def _patients_by_name(field: str) -> Resolver:
    def resolve(asked: _Filter) -> Iterator[Json]:
        query = _normalised(asked.string(field) or "")
        for patient in asked.owned("patient"):
            name = f"{patient.get('lastName') or ''}{patient.get('firstName') or ''}"
            others = (patient.get("maidenName") or "", patient.get("spouseName") or "")
            if _occurs(query, name, *others):
                yield patient

    return resolve


def _hcps_by_name(asked: _Filter) -> list[Json]:
    query = _normalised(asked.required("name"))
    found = [
        hcp
        for hcp in asked.tx.all("hcparty")
        if _occurs(
            query,
            f"{hcp.get('lastName') or ''}{hcp.get('firstName') or ''}",
            hcp.get("name") or "",
            hcp.get("speciality") or "",
        )
    ]
    return found[::-1] if asked.boolean("descending") else found


def _hcps_by_identifiers(asked: _Filter) -> Iterator[Json]:
    wanted = asked.objects("identifiers")
    for hcp in asked.tx.all("hcparty"):
        if _has_identifier(hcp, "identifier", wanted):
            yield hcp


def _hcps_by_tag_and_code(asked: _Filter) -> Iterator[Json]:
    tag_type, tag_code = asked.string("tagType"), asked.string("tagCode")
    code_type, code_code = asked.string("codeType"), asked.string("codeCode")
    if tag_type is None and code_type is None:
        raise bad_request(f"{asked.type}: tagType or codeType is missing")
    for hcp in asked.tx.all("hcparty"):
        if (tag_type is None or _has_code(list_in(hcp, "tags"), tag_type, tag_code)) and (
            code_type is None or _has_code(list_in(hcp, "codes"), code_type, code_code)
        ):
            yield hcp


def _devices_by_responsible(asked: _Filter) -> Iterator[Json]:
    owner = asked.string("responsibleId") or asked.call.caller.owner_id
    if owner is None:
        raise bad_request(f"{asked.type}: responsibleId is missing")
    return (device for device in asked.tx.all("device") if device.get("responsible") == owner)


def _tasks_after_date(asked: _Filter) -> Iterator[Json]:
    date = asked.required_integer("date")
    for task in asked.owned("maintenancetask"):
        if task.get("created") is not None and task["created"] >= date:
            yield task


def _tasks_by_type(asked: _Filter) -> Iterator[Json]:
    task_type = asked.required("type")
    for task in asked.owned("maintenancetask"):
        if task.get("taskType") == task_type:
            yield task


def _tasks_by_identifiers(asked: _Filter) -> Iterator[Json]:
    wanted = asked.objects("identifiers")
    for task in asked.owned("maintenancetask"):
        if _has_identifier(task, "identifier", wanted):
            yield task


_RESOLVERS: dict[str, dict[str, Resolver]] = {
    "user": {
        "AllUsersFilter": _all("user"),
        "UserByIdsFilter": _by_ids("user"),
        "UserByNameEmailPhoneFilter": _users_by_text,
        "UsersByPatientIdFilter": _users_by_patient,
    },
    "patient": {
        "PatientByDataOwnerTagFilter": _patients_by_tag,
        "PatientByHcPartyAndActiveFilter": _patients_by_active,
        "PatientByHcPartyAndAddressFilter": _patients_by_address,
        "PatientByHcPartyAndExternalIdFilter": _patients_by_prefix(
            "externalId", "externalId", required=False
        ),
        "PatientByHcPartyAndIdentifiersFilter": _patients_by_identifiers,
        "PatientByHcPartyAndSsinFilter": _patients_by_prefix("ssin", "ssin", required=True),
        "PatientByHcPartyAndSsinsFilter": _patients_by_ssins,
        "PatientByHcPartyAndTelecomFilter": _patients_by_telecom,
        "PatientByHcPartyDateOfBirthBetweenFilter": _patients_by_birth_between,
        "PatientByHcPartyDateOfBirthFilter": _patients_by_birth,
        "PatientByHcPartyFilter": _patients,
        "PatientByHcPartyGenderEducationProfession": _patients_by_profile,
        "PatientByHcPartyNameContainsFuzzyFilter": _patients_by_name("searchString"),
        "PatientByHcPartyNameFilter": _patients_by_name("name"),
        "PatientByIdsFilter": _by_ids("patient"),
    },
    "hcparty": {
        "AllHealthcarePartiesFilter": _all("hcparty"),
        "HealthcarePartyByIdentifiersFilter": _hcps_by_identifiers,
        "HealthcarePartyByIdsFilter": _by_ids("hcparty"),
        "HealthcarePartyByNameFilter": _hcps_by_name,
        "HealthcarePartyByTagCodeFilter": _hcps_by_tag_and_code,
    },
    "device": {
        "AllDevicesFilter": _all("device"),
        "DeviceByHcPartyFilter": _devices_by_responsible,
        "DeviceByIdsFilter": _by_ids("device"),
    },
    "maintenancetask": {
        "MaintenanceTaskAfterDateFilter": _tasks_after_date,
        "MaintenanceTaskByHcPartyAndIdentifiersFilter": _tasks_by_identifiers,
        "MaintenanceTaskByHcPartyAndTypeFilter": _tasks_by_type,
        "MaintenanceTaskByIdsFilter": _by_ids("maintenancetask"),
    },
}


def _resolve(tx: Transaction, call: Call, kind: str, body: Any) -> dict[str, Json]:
    if not is_object(body):
        raise bad_request("The filter must be a JSON object")
    asked = _Filter(tx, call, body)
    if asked.type == "UnionFilter":
        union: dict[str, Json] = {}
        for member in asked.objects("filters"):
            union.update(_resolve(tx, call, kind, member))
        return union
    if asked.type == "IntersectionFilter":
        members = [_resolve(tx, call, kind, member) for member in asked.objects("filters")]
        if not members:
            return {}
        common = set(members[0]).intersection(*members[1:])
        return {key: entity for key, entity in members[0].items() if key in common}
    if asked.type == "ComplementFilter":
        everything = _resolve(tx, call, kind, body.get("superSet"))
        removed = _resolve(tx, call, kind, body.get("subSet"))
        return {key: entity for key, entity in everything.items() if key not in removed}
    resolver = _RESOLVERS[kind].get(asked.type)
    if resolver is None:
        raise bad_request(f"{asked.type or 'A filter without $type'} is no filter for {kind}")
    return {entity["id"]: entity for entity in resolver(asked)}


def _ordered(kind: str, entities: Iterable[Json]) -> list[Json]:
    if kind == "patient":
        return sorted(entities, key=lambda patient: str(patient["id"]))
    if kind == "maintenancetask":
        by_id = sorted(entities, key=lambda task: str(task["id"]))
        return sorted(by_id, key=lambda task: -(task.get("created") or 0))
    return list(entities)


def _matching(tx: Transaction, call: Call, kind: str, body: Any, readable: Readable) -> list[Json]:
    found = _resolve(tx, call, kind, body).values()
    return _ordered(kind, [entity for entity in found if readable(call, kind, entity)])


def match_ids(tx: Transaction, call: Call, kind: str, readable: Readable) -> list[str]:
    """Answer ``…/match``: ids of what the bare filter in the body finds."""
    return [entity["id"] for entity in _matching(tx, call, kind, call.body, readable)]


def filter_page(tx: Transaction, call: Call, kind: str, readable: Readable, show: Show) -> Json:
    """Answer ``…/filter``: a page of what the filter chain in the body finds."""
    chain = call.json_object()
    if chain.get("filter") is None:
        raise bad_request("filter is missing")
    found = _matching(tx, call, kind, chain["filter"], readable)
    total = len(found)
    predicate = chain.get("predicate")
    if predicate is not None:
        holds = _predicate(predicate)
        found = [entity for entity in found if holds(SCHEMAS[kind].show(entity))]
    page = page_of(call, found, lambda entity: show(kind, entity), by_id=kind == "patient")
    return {**page, "totalSize": total}


def page_of(call: Call, found: list[Json], show: Callable[[Json], Json], *, by_id: bool) -> Json:
    """Return the page that the query parameters ``startDocumentId`` and ``limit`` ask for."""
    limit = call.integer_query("limit")
    if limit is None:
        limit = _DEFAULT_LIMIT
    if limit < 1:
        raise bad_request("limit must be positive")
    start = 0
    first = call.query.get("startDocumentId")
    if first:
        if by_id:
            start = sum(1 for entity in found if entity["id"] < first)
        else:
            ids = [entity["id"] for entity in found]
            start = ids.index(first) if first in ids else len(found)
    page: Json = {
        "pageSize": limit,
        "totalSize": len(found),
        "rows": [show(entity) for entity in found[start : start + limit]],
    }
    if start + limit < len(found):
        following = found[start + limit]["id"]
        page["nextKeyPair"] = {"startKey": following, "startKeyDocId": following}
    return page


Predicate = Callable[[Json], bool]


def _predicate(body: Any) -> Predicate:
    if not is_object(body):
        raise bad_request("A predicate must be a JSON object")
    kind = body.get("$type")
    if kind == "AlwaysPredicate":
        return lambda _entity: True
    if kind == "NotPredicate":
        negated = _predicate(body.get("predicate"))
        return lambda entity: not negated(entity)
    if kind in ("AndPredicate", "OrPredicate"):
        members = body.get("predicates")
        if not is_list(members):
            raise bad_request(f"{kind}: predicates must be a list")
        parts = [_predicate(member) for member in members]
        combine = all if kind == "AndPredicate" else any
        return lambda entity: combine(part(entity) for part in parts)
    if kind == "KeyValuePredicate":
        return _key_value_predicate(body)
    raise bad_request("A predicate needs a known $type")


def _key_value_predicate(body: Json) -> Predicate:
    key, operator, value = body.get("key"), body.get("operator"), body.get("value")
    comparison = _OPERATORS.get(operator) if isinstance(operator, str) else None
    if not isinstance(key, str) or comparison is None:
        raise bad_request("KeyValuePredicate: key or operator is missing or unknown")

    def holds(entity: Json) -> bool:
        try:
            return comparison(entity.get(key), value)
        except TypeError:
            return False

    return holds


def _contains(actual: Any, wanted: Any, *, fold: bool) -> bool:
    if not isinstance(actual, str) or not isinstance(wanted, str):
        return False
    return wanted.lower() in actual.lower() if fold else wanted in actual


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "EQUAL": lambda actual, wanted: actual == wanted,
    "NOTEQUAL": lambda actual, wanted: actual != wanted,
    "GREATERTHAN": lambda actual, wanted: actual > wanted,
    "SMALLERTHAN": lambda actual, wanted: actual < wanted,
    "GREATERTHANOREQUAL": lambda actual, wanted: actual >= wanted,
    "SMALLERTHANOREQUAL": lambda actual, wanted: actual <= wanted,
    "LIKE": lambda actual, wanted: _contains(actual, wanted, fold=False),
    "ILIKE": lambda actual, wanted: _contains(actual, wanted, fold=True),
}
