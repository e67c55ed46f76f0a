"""Data samples as services of contacts: versions, links through sub-contacts, changes of one.

Pure functions on wire JSON that is never changed in place. Source: data-model.md §6,
docs/spec/second-world.md §2, server-behaviour.md §10.8.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.entities.wholeness import ENTITY_METADATA
from icure_async.json_shapes import as_list, as_object, is_object
from icure_async.models.dates import to_fuzzy_datetime

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = [
    "LINK_MEMBERS",
    "OF_THE_CONTACT",
    "Links",
    "is_deleted",
    "latest_versions",
    "links_of",
    "metadata_of",
    "period_of",
    "row_of",
    "services_of",
    "tombstone",
    "version_time",
    "with_links",
    "with_services",
]

_ID: Final = "id"
_SERVICES: Final = "services"
_SUB_CONTACTS: Final = "subContacts"
_SERVICE_ID: Final = "serviceId"
_HEALTH_ELEMENT_ID: Final = "healthElementId"
_FORM_ID: Final = "formId"
_END_OF_LIFE: Final = "endOfLife"
_CLOSING_DATE: Final = "closingDate"
_OPENING_DATE: Final = "openingDate"
_VALUE_DATE: Final = "valueDate"
_MILLISECOND_DIGITS: Final = 13

LINK_MEMBERS: Final = ("healthElementsIds", "formIds")
"""Members of a service in an answer that follow from the sub-contacts of its contact."""

OF_THE_CONTACT: Final = (
    *(name for name in ENTITY_METADATA if name != "encryptedSelf"),
    *LINK_MEMBERS,
    "contactId",
    "plansOfActionIds",
    "subContactIds",
)
"""Members that backends put into the services of an answer, and that belong to the contact."""

_METADATA: Final = tuple(name for name in ENTITY_METADATA if name != "encryptedSelf")


@attrs.frozen
class Links:
    """The records that a data sample is linked to.

    Attributes:
        health_elements: ids of health elements.
        forms: ids of forms.
    """

    health_elements: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()


# --- Versions -------------------------------------------------------------------------------------


def version_time(service: Mapping[str, Any]) -> int:
    """Return when a version of a service was made, in epoch milliseconds; 0 where nothing says."""
    times = [service.get(name) for name in ("modified", _END_OF_LIFE, "created")]
    return max((time for time in times if isinstance(time, int)), default=0)


def is_deleted(service: Mapping[str, Any]) -> bool:
    """Return whether a version of a service is the tombstone of a deleted one."""
    return service.get(_END_OF_LIFE) is not None


def latest_versions(services: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the latest version of each service by id, whatever their order.

    Of two versions of the same moment, the tombstone counts: what is deleted stays deleted.
    """
    latest: dict[str, Mapping[str, Any]] = {}
    for service in services:
        present = latest.get(service[_ID])
        if present is None or _rank(service) > _rank(present):
            latest[service[_ID]] = service
    return latest


def _rank(service: Mapping[str, Any]) -> tuple[int, bool, str]:
    return version_time(service), is_deleted(service), str(service.get("contactId") or "")


def tombstone(service: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Return the version that says that a service is deleted (docs/spec/second-world.md §2.4).

    Args:
        service: its latest version.
        now: epoch milliseconds.
    """
    moment = max(now, version_time(service) + 1)
    created = service.get("created")
    return {
        _ID: service[_ID],
        "created": moment if created is None else created,
        "modified": moment,
        _END_OF_LIFE: moment,
    }


# --- Services in their contact --------------------------------------------------------------------


def services_of(contact: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the services of a contact."""
    return [service for service in as_list(contact.get(_SERVICES)) if is_object(service)]


def metadata_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the delegations and keys of a contact, as its services have them in answers."""
    return {name: document[name] for name in _METADATA if document.get(name) is not None}


def row_of(contact: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service as the routes of services answer with it."""
    links = links_of(contact, service[_ID])
    return {
        **{name: value for name, value in service.items() if name not in OF_THE_CONTACT},
        **metadata_of(contact),
        "contactId": contact[_ID],
        LINK_MEMBERS[0]: list(links.health_elements) or as_list(service.get(LINK_MEMBERS[0])),
        LINK_MEMBERS[1]: list(links.forms) or as_list(service.get(LINK_MEMBERS[1])),
    }


def with_services(
    contact: Mapping[str, Any], changed: Mapping[str, Mapping[str, Any]], now: int
) -> dict[str, Any]:
    """Return a contact with some of its services replaced, the others as they are.

    Args:
        contact: as it is stored.
        changed: the new versions by id.
        now: epoch milliseconds, for its ``modified``.
    """
    services = [
        changed.get(str(service.get(_ID)), service) if is_object(service) else service
        for service in as_list(contact.get(_SERVICES))
    ]
    modified = contact.get("modified")
    # Clocks differ, and a later state must not look older.
    moment = max(now, modified + 1) if isinstance(modified, int) else now
    # Where it is encrypted, no older one in clear is next to it.
    stamp = {} if modified is None and contact.get("encryptedSelf") else {"modified": moment}
    return {**contact, _SERVICES: services, **stamp}


def period_of(services: Sequence[Mapping[str, Any]]) -> tuple[int | None, int | None]:
    """Return the opening and the closing date of a contact with these services.

    Returns:
        The smallest and the largest of their dates; None where they have none.
    """
    opening = [_first(service, _OPENING_DATE, _VALUE_DATE) for service in services]
    closing = [_first(service, _CLOSING_DATE, _VALUE_DATE) for service in services]
    return (
        min((date for date in opening if date is not None), key=_padded, default=None),
        max((date for date in closing if date is not None), key=_padded, default=None),
    )


def _first(service: Mapping[str, Any], *names: str) -> int | None:
    return next((service[name] for name in names if service.get(name)), None)


def _padded(date: int) -> int:
    """Return a date as a fuzzy date-time, for comparisons: some are epoch milliseconds."""
    if len(str(date)) == _MILLISECOND_DIGITS:
        return to_fuzzy_datetime(dt.datetime.fromtimestamp(date / 1000, dt.UTC))
    return int(str(date).ljust(14, "0"))


# --- Links ----------------------------------------------------------------------------------------


def links_of(contact: Mapping[str, Any], service_id: str) -> Links:
    """Return the links of a service, as the sub-contacts of its contact say."""
    health_elements: dict[str, None] = {}
    forms: dict[str, None] = {}
    for sub_contact in as_list(contact.get(_SUB_CONTACTS)):
        if service_id not in _service_ids(sub_contact):
            continue
        for name, found in ((_HEALTH_ELEMENT_ID, health_elements), (_FORM_ID, forms)):
            linked = as_object(sub_contact).get(name)
            if isinstance(linked, str) and linked:
                found[linked] = None
    return Links(tuple(health_elements), tuple(forms))


def with_links(contact: Mapping[str, Any], service_id: str, wanted: Links) -> Mapping[str, Any]:
    """Return a contact in which a service has these links, and no others.

    Links of other services stay; it is the same object where nothing changes.
    """
    present = links_of(contact, service_id)
    if set(present.health_elements) == set(wanted.health_elements) and set(present.forms) == set(
        wanted.forms
    ):
        return contact
    kept: list[Any] = []
    for sub_contact in as_list(contact.get(_SUB_CONTACTS)):
        is_concerned = service_id in _service_ids(sub_contact)
        kept += (
            _without_unwanted(sub_contact, service_id, wanted) if is_concerned else [sub_contact]
        )
    for name, ids in ((_HEALTH_ELEMENT_ID, wanted.health_elements), (_FORM_ID, wanted.forms)):
        for linked in ids:
            _link(kept, name, linked, service_id)
    return {**contact, _SUB_CONTACTS: kept}


def _service_ids(sub_contact: object) -> list[object]:
    services = as_list(as_object(sub_contact).get(_SERVICES))
    return [as_object(service).get(_SERVICE_ID) for service in services]


def _without_unwanted(
    sub_contact: Mapping[str, Any], service_id: str, wanted: Links
) -> list[Mapping[str, Any]]:
    """Return a sub-contact without a service that it links elsewhere; none if nothing is left."""
    is_wanted = _is_among(
        sub_contact.get(_HEALTH_ELEMENT_ID), wanted.health_elements
    ) and _is_among(sub_contact.get(_FORM_ID), wanted.forms)
    if is_wanted:
        return [sub_contact]
    services = [
        service
        for service in as_list(sub_contact.get(_SERVICES))
        if as_object(service).get(_SERVICE_ID) != service_id
    ]
    return [{**sub_contact, _SERVICES: services}] if services else []


def _is_among(linked: object, wanted: Collection[str]) -> bool:
    return not linked or linked in wanted


def _link(sub_contacts: list[Any], name: str, linked: str, service_id: str) -> None:
    """Add a link of a service to a list of sub-contacts, unless it is there."""
    other = _FORM_ID if name == _HEALTH_ELEMENT_ID else _HEALTH_ELEMENT_ID
    place: int | None = None
    for index, sub_contact in enumerate(sub_contacts):
        if as_object(sub_contact).get(name) != linked:
            continue
        if service_id in _service_ids(sub_contact):
            return
        if not as_object(sub_contact).get(other):
            place = index
    link = {_SERVICE_ID: service_id}
    if place is None:
        sub_contacts.append({name: linked, _SERVICES: [link]})
    else:
        present = sub_contacts[place]
        services = [*as_list(present.get(_SERVICES)), link]
        sub_contacts[place] = {**present, _SERVICES: services}
