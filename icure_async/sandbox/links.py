"""The links by which entities are found: an index of everything that filters look at (§9.4)."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox.access import DATA_OWNER_KINDS, delegates_of, readers_of
from icure_async.sandbox.contacts import contact_key, login_key, phone_index, phone_key
from icure_async.sandbox.shapes import is_integer, is_list, is_object, list_in, object_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from icure_async.sandbox.store import Json

__all__ = [
    "LINKS_VERSION",
    "LONGEST_INDEXED",
    "address_part",
    "clinical_date",
    "key_target",
    "language_word",
    "link_entity",
    "normalised",
    "pair",
    "sortable",
    "sortable_range",
]

LINKS_VERSION = "7"
"""Changes with `link_entity`: the links in older databases are then made again."""

_SEPARATOR: Final = "\x1f"
_SHORTEST_INDEXED: Final = 3
LONGEST_INDEXED: Final = 40
"""Characters of a name after which the index of names knows no difference."""

_SECONDS_UNKNOWN: Final = 10**6
_SHORTEST_DATE_TIME: Final = 99_999_999

_OFFSET: Final = 2**63
_DIGITS: Final = 20

_USER_KEYS: Final[dict[str, Callable[[str], str]]] = {
    "login": login_key,
    "email": contact_key,
    "patientId": str,
    "healthcarePartyId": str,
}
_TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "patient": ("ssin", "externalId", "education", "profession"),
    "device": ("responsible",),
    "maintenancetask": ("taskType",),
}


def link_entity(kind: str, entity: Json) -> Iterable[tuple[str, str]]:
    """Return the links by which an entity is found, as (relation, target) pairs.

    A deleted one is found by its id only, and by nobody who may not read it.
    """
    if kind == "serviceversion":
        yield from _links_of_version(entity)
        return
    for reader in readers_of(kind, entity):
        yield "reader", reader
    if kind == "maintenancetask" and isinstance(entity.get("created"), int):
        yield "created", sortable(entity["created"])
    if entity.get("deletionDate"):
        return
    yield "alive", ""
    if kind == "service":
        # It is found by its versions.
        return
    for delegate in delegates_of(entity):
        yield "delegate", delegate
    if kind in DATA_OWNER_KINDS:
        yield from _links_of_keys(entity)
    if kind == "user":
        yield from _links_of_user(entity)
    if isinstance(entity.get("dateOfBirth"), int):
        yield "dateOfBirth", sortable(entity["dateOfBirth"])
    for prop in _TEXTS.get(kind, ()):
        if isinstance(entity.get(prop), str):
            yield prop, entity[prop]
    yield from _links_of_codes(entity)
    for secret in list_in(entity, "secretForeignKeys"):
        yield "secretForeignKey", secret
    if kind == "exchangedata":
        yield from _links_of_exchange_data(entity)
    if kind == "recoverydata":
        yield "recipient", entity["recipient"]
    if kind == "securedelegationkeymap":
        yield "delegationKey", entity["delegationKey"]
    if isinstance(entity.get("openingDate"), int):
        yield "openingDate", sortable(entity["openingDate"])
    if kind == "contact":
        yield from _links_of_contact(entity)
    if kind == "code":
        yield from _links_of_code(entity)
    if kind == "patient":
        yield from _links_of_patient(entity)
    if kind == "hcparty":
        yield from _suffixes(_full_name(entity), entity.get("name"), entity.get("speciality"))


def normalised(text: str) -> str:
    """Return the letters and digits of a text, small and without accents."""
    decomposed = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in decomposed if c.isalnum() and not unicodedata.combining(c))


def sortable(number: int) -> str:
    """Return a text that sorts as the number does."""
    return f"{min(max(number + _OFFSET, 0), 2 * _OFFSET):0{_DIGITS}d}"


def sortable_range(first: int | None, last: int | None) -> tuple[str, str]:
    """Return both ends of a range of numbers as texts that sort so; None is an open end."""
    return (
        sortable(-_OFFSET if first is None else first),
        sortable(_OFFSET - 1 if last is None else last),
    )


def pair(first: str | None, second: str | None = None) -> str:
    """Return the target for two values; without the second, the beginning of all with the first."""
    return f"{first or ''}{_SEPARATOR}{'' if second is None else second + _SEPARATOR}"


def address_part(name: str, value: str) -> str:
    """Return what a link to an address contains where it has this postal code or house number."""
    return f"{_SEPARATOR}{name}{value}{_SEPARATOR}"


def key_target(public_key: str) -> str:
    """Return what a data owner with this public key is found by: its fingerprint."""
    return public_key[-32:].lower()


def _links_of_keys(owner: Json) -> Iterator[tuple[str, str]]:
    published = [owner.get("publicKey"), *object_in(owner, "aesExchangeKeys")]
    for key in {*published, *list_in(owner, "publicKeysForOaepWithSha256")}:
        if isinstance(key, str) and key:
            yield "publicKey", key_target(key)
    for delegate in object_in(owner, "hcPartyKeys"):
        yield "exchange", delegate
    for by_delegate in object_in(owner, "aesExchangeKeys").values():
        for delegate in by_delegate:
            yield "exchange", delegate


def _links_of_exchange_data(exchange_data: Json) -> Iterator[tuple[str, str]]:
    delegator, delegate = exchange_data["delegator"], exchange_data["delegate"]
    yield "participant", delegator
    yield "participant", delegate
    yield "pair", pair(delegator, delegate)


def _links_of_user(user: Json) -> Iterator[tuple[str, str]]:
    for relation, key_of in _USER_KEYS.items():
        if user.get(relation):
            yield relation, key_of(user[relation])
    for phone in phone_index(user.get("mobilePhone") or ""):
        yield "phone", phone
    for prop in ("login", "name", "email", "mobilePhone"):
        value = user.get(prop) or ""
        for word in (value, *re.split(r"[^\w]+", value)):
            if word:
                yield "word", normalised(word)


def _links_of_codes(entity: Json) -> Iterator[tuple[str, str]]:
    for prop in ("tags", "codes"):
        for stub in list_in(entity, prop):
            yield prop, pair(stub.get("type"), stub.get("code") or "")
    for identifier in (*list_in(entity, "identifier"), *list_in(entity, "identifiers")):
        yield "identifier", pair(identifier.get("system"), identifier.get("value") or "")


def _links_of_contact(contact: Json) -> Iterator[tuple[str, str]]:
    for service in _objects(contact, "services"):
        if isinstance(service.get("id"), str):
            yield "service", service["id"]
        for relation, prop in (("serviceTags", "tags"), ("serviceCodes", "codes")):
            for stub in _objects(service, prop):
                yield relation, pair(stub.get("type"), stub.get("code") or "")
    for part in _objects(contact, "subContacts"):
        if isinstance(part.get("formId"), str):
            yield "form", part["formId"]


def clinical_date(date: int) -> int:
    """Return a fuzzy date to the second: one of a day begins at midnight."""
    return date * _SECONDS_UNKNOWN if 0 <= date < _SHORTEST_DATE_TIME else date


def _links_of_version(service: Json) -> Iterator[tuple[str, str]]:
    yield "alive", ""
    yield "contact", service["contactId"]
    for delegate in delegates_of(service):
        yield "delegate", delegate
    yield from _links_of_codes(service)
    for secret in list_in(service, "secretForeignKeys"):
        yield "secretForeignKey", secret
    date = service.get("valueDate") or service.get("openingDate")
    if is_integer(date):
        yield "valueDate", sortable(clinical_date(date))
    for relation, prop in (("healthElement", "healthElementsIds"), ("subContact", "subContactIds")):
        for target in list_in(service, prop):
            yield relation, target
    for by_target in object_in(service, "qualifiedLinks").values():
        for association in by_target:
            yield "association", association


def _links_of_code(code: Json) -> Iterator[tuple[str, str]]:
    parts = [str(code.get(name) or "") for name in ("type", "code", "version")]
    yield "type", parts[0]
    yield "interval", _SEPARATOR.join(parts)
    for region in list_in(code, "regions"):
        yield "region", region
    label, terms = object_in(code, "label"), object_in(code, "searchTerms")
    own = set(_words(parts[1]))
    yield from (("word", language_word("", word)) for word in own)
    for language in label.keys() | terms.keys():
        yield "language", language
        texts = [label.get(language), *(terms.get(language) or ())]
        words = own.union(*(_words(text) for text in texts if isinstance(text, str)))
        for word in words:
            yield "word", language_word("", word)
            yield "word", language_word(language, word)


def language_word(language: str, word: str) -> str:
    """Return the target for a word in a language; in any language where that is empty."""
    return f"{language}{_SEPARATOR}{word}"


def _words(text: str) -> Iterator[str]:
    for word in re.split(r"[^\w]+", text):
        if len(word) >= _SHORTEST_INDEXED:
            yield normalised(word)


def _objects(entity: Json, name: str) -> list[Json]:
    """Return the objects in a list: contacts of a seed were checked by nobody."""
    value = entity.get(name)
    return [item for item in value if is_object(item)] if is_list(value) else []


def _links_of_patient(patient: Json) -> Iterator[tuple[str, str]]:
    yield "active", str(patient.get("active") is not False)
    yield "gender", patient.get("gender") or "unknown"
    yield from _suffixes(_full_name(patient), patient.get("maidenName"), patient.get("spouseName"))
    for address in list_in(patient, "addresses"):
        yield from (("address", target) for target in _address_targets(address))
        for telecom in list_in(address, "telecoms"):
            if number := telecom.get("telecomNumber") or "":
                yield "telecom", number.lower()
                yield "telecomDigits", phone_key(number)


def _address_targets(address: Json) -> Iterator[str]:
    street, city = address.get("street") or "", address.get("city") or ""
    parts = address_part("postalCode", address.get("postalCode") or "")
    parts += address_part("houseNumber", address.get("houseNumber") or "")
    for word in (street + city, street, city):
        yield normalised(word) + parts


def _full_name(entity: Json) -> str:
    return f"{entity.get('lastName') or ''}{entity.get('firstName') or ''}"


def _suffixes(*texts: Any) -> Iterator[tuple[str, str]]:
    """Yield the beginnings of suffixes of at least three characters, and texts as a whole."""
    for text in texts:
        indexed = normalised(text or "")
        if indexed:
            yield "wholeName", indexed
            for start in range(max(1, len(indexed) - _SHORTEST_INDEXED + 1)):
                yield "name", indexed[start : start + LONGEST_INDEXED]
