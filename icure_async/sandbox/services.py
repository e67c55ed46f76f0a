"""Data samples inside of contacts: their versions, and the latest one of each (§10.8).

A sample is called a service here. It is stored in contacts only. The index names each version that
a contact has, and the contact that has the latest version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.sandbox.queries import exactly
from icure_async.sandbox.shapes import is_integer, is_object, list_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.sandbox.store import Json, Transaction

__all__ = [
    "SERVICE",
    "VERSION",
    "derive_services",
    "each_service",
    "index_version",
    "service_of_version",
    "services",
]

SERVICE: Final = "service"
"""The kind of the latest versions: what is stored of one is the id of its contact."""

VERSION: Final = "serviceversion"
"""The kind of all versions, which have links only."""

_SEPARATOR: Final = "\x1f"
_COPIED: Final = (
    "secretForeignKeys",
    "cryptedForeignKeys",
    "delegations",
    "encryptionKeys",
    "securityMetadata",
)
_LINKED: Final = {
    "subContactIds": "id",
    "plansOfActionIds": "planOfActionId",
    "healthElementsIds": "healthElementId",
    "formIds": "formId",
}


def services(contact: Json) -> dict[str, Json]:
    """Return the samples of a contact by their ids, as the endpoints answer them."""
    linked = _links(contact)
    copied = {name: contact[name] for name in _COPIED if contact.get(name) is not None}
    return {
        service["id"]: {
            **service,
            "contactId": contact["id"],
            **linked.get(service["id"], {}),
            **copied,
        }
        for service in _objects(contact, "services")
        if isinstance(service.get("id"), str)
    }


def _links(contact: Json) -> dict[str, dict[str, list[str]]]:
    """Return what the parts of a contact that list a service say of it, by the service's id."""
    links: dict[str, dict[str, list[str]]] = {}
    for part in _objects(contact, "subContacts"):
        said = {name: part[prop] for name, prop in _LINKED.items() if part.get(prop)}
        for link in _objects(part, "services"):
            of_service = links.setdefault(str(link.get("serviceId")), {})
            for name, target in said.items():
                targets = of_service.setdefault(name, [])
                if target not in targets:
                    targets.append(target)
    return links


def _objects(entity: Json, name: str) -> list[Json]:
    return [item for item in list_in(entity, name) if is_object(item)]


def service_of_version(version_id: str) -> str:
    """Return the id of the service that an id of `VERSION` is of."""
    return version_id.partition(_SEPARATOR)[0]


def derive_services(tx: Transaction, before: Json | None, contact: Json | None) -> None:
    """Keep the index of services right after a contact was stored, or removed.

    Args:
        tx: the transaction.
        before: the contact as it was, if there was one.
        contact: the contact as it is, if there still is one.
    """
    contact_id: str = (contact or before or {})["id"]
    present = services(contact) if contact is not None and not contact.get("deletionDate") else {}
    gone = _ids(before) - present.keys()
    known = {contact_id: present}
    for service_id in gone:
        tx.link(VERSION, _version_id(service_id, contact_id), None)
    for service in present.values():
        index_version(tx, service)
    for service_id in (*present, *gone):
        latest = _latest(tx, service_id, known)
        if latest is None:
            tx.remove(SERVICE, service_id)
        elif latest["contactId"] == contact_id or service_id in gone:
            kept = {"id": service_id, "contactId": latest["contactId"]}
            tx.put(SERVICE, latest, kept=kept)


def index_version(tx: Transaction, service: Json) -> None:
    """Let filters find a version of a service."""
    version_id = _version_id(service["id"], str(service.get("contactId")))
    tx.link(VERSION, version_id, service)


def _version_id(service_id: str, contact_id: str) -> str:
    return f"{service_id}{_SEPARATOR}{contact_id}"


def _ids(contact: Json | None) -> set[str]:
    ids = (service.get("id") for service in _objects(contact or {}, "services"))
    return {service_id for service_id in ids if isinstance(service_id, str)}


def _latest(tx: Transaction, service_id: str, known: dict[str, dict[str, Json]]) -> Json | None:
    """Return the latest version of a service.

    Args:
        tx: the transaction.
        service_id: id of the service.
        known: the services of contacts that were read, by the id of the contact.
    """
    versions: list[Json] = []
    for contact_id in exactly("contact", SERVICE, service_id).ids(tx):
        if contact_id not in known:
            stored = tx.get("contact", contact_id)
            known[contact_id] = {} if stored is None else services(stored)
        if (version := known[contact_id].get(service_id)) is not None:
            versions.append(version)
    return max(versions, key=_moment, default=None)


def _moment(version: Json) -> tuple[int, str]:
    moments = (version.get(name) for name in ("modified", "endOfLife", "created"))
    return max((m for m in moments if is_integer(m)), default=0), version["contactId"]


def each_service(tx: Transaction, ids: Iterable[str]) -> list[Json]:
    """Return the latest versions of services in the order of their ids, unknown ones left out."""
    known: dict[str, dict[str, Json]] = {}
    found: list[Json] = []
    for reference in tx.each(SERVICE, ids):
        contact_id = reference["contactId"]
        if contact_id not in known:
            contact = tx.get("contact", contact_id)
            known[contact_id] = {} if contact is None else services(contact)
        if (service := known[contact_id].get(reference["id"])) is not None:
            found.append(service)
    return found
