"""The content of data samples as it is stored, in all forms that other SDKs write.

Ours is one encrypted layer for all languages, with nested samples in clear inside it
(docs/spec/second-world.md §2.1). Works on wire JSON that is never changed in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.crypto.encoding import decode_base64
from icure_async.crypto.threads import in_thread_if_large
from icure_async.entities.contact_services import OF_THE_CONTACT
from icure_async.entities.encrypted_self import ENCRYPTED_SELF, decrypt_members
from icure_async.entities.wholeness import ENTITY_METADATA
from icure_async.json_shapes import as_list, as_object, is_object, parse_json_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.crypto.protocol import Crypto

__all__ = ["CONTENT", "ciphertext_of", "is_encrypted", "opened_service", "storable_service"]

CONTENT: Final = "content"

_ENCRYPTED_CONTENT: Final = "encryptedContent"
_COMPOUND: Final = "compoundValue"
_LISTS: Final = (_COMPOUND, "ratio", "range")
# Of a service, these say which one it is and what has become of it. Somebody who may write one
# could otherwise make it look like another, or like a deleted one.
_NEVER_HIDDEN: Final = (*OF_THE_CONTACT, "created", "modified", "endOfLife")
_TOO_DEEP: Final = "the content is nested too deeply"


# --- Reading --------------------------------------------------------------------------------------


def is_encrypted(service: Mapping[str, Any]) -> bool:
    """Return whether something in a service is encrypted, at any depth."""
    pending: list[Any] = [service]
    while pending:
        value = pending.pop()
        if is_object(value):
            if value.get(ENCRYPTED_SELF) or value.get(_ENCRYPTED_CONTENT):
                return True
            # Its keys are not part of its content.
            pending += [item for name, item in value.items() if name not in ENTITY_METADATA]
        else:
            pending += as_list(value)
    return False


def ciphertext_of(service: Mapping[str, Any]) -> str | None:
    """Return the text that the content of a service is encrypted in; None where there is none."""
    for name in (_ENCRYPTED_CONTENT, ENCRYPTED_SELF):
        if isinstance(value := service.get(name), str) and value:
            return value
    return None


async def opened_service(crypto: Crypto, key: bytes, service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service in clear, next to its ``encryptedSelf``.

    Content in clear is not believed where there is an encrypted one. In order of precedence:
    ``encryptedContent`` of the past, ``encryptedSelf``, nested services that are encrypted one by
    one (cryptography.md §6.5).

    Args:
        crypto: decrypts.
        key: the key of its contact.
        service: as it is stored.

    Raises:
        ValueError: something in it can't be decrypted with the key.
    """
    try:
        return await _opened(crypto, key, service)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


async def _opened(crypto: Crypto, key: bytes, service: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: service[name] for name in ENTITY_METADATA if name in service}
    apart = {CONTENT, _ENCRYPTED_CONTENT, *kept}
    closed = {name: value for name, value in service.items() if name not in apart}
    if kept.get(ENCRYPTED_SELF):
        closed[ENCRYPTED_SELF] = kept[ENCRYPTED_SELF]
    opened = await decrypt_members(crypto, key, closed)
    for name in _NEVER_HIDDEN:
        opened.pop(name, None)
        if name in closed:
            opened[name] = closed[name]
    content: Any
    if service.get(_ENCRYPTED_CONTENT):
        content = await _legacy_content(crypto, key, service[_ENCRYPTED_CONTENT])
    elif kept.get(ENCRYPTED_SELF):
        content = opened[CONTENT] if CONTENT in opened else _nested_only(service.get(CONTENT))
    else:
        content = service.get(CONTENT)
    if is_object(content):
        content = await _with_opened_compounds(crypto, key, content)
    if content is not None:
        opened[CONTENT] = content
    return {**opened, **kept}


def _nested_only(content: object) -> dict[str, Any]:
    """Return the nested services of a content in clear, and nothing else of it.

    Today's clients encrypt these one by one, and the rest of the outer service, which is nothing.
    """
    return {
        language: {_COMPOUND: nested}
        for language, value in as_object(content).items()
        if (nested := as_list(as_object(value).get(_COMPOUND)))
    }


async def _legacy_content(crypto: Crypto, key: bytes, encrypted: object) -> dict[str, Any]:
    """Return the content in an ``encryptedContent``, as SDKs of the past wrote it."""
    if not isinstance(encrypted, str):
        message = "encryptedContent is not a text"
        raise ValueError(message)  # noqa: TRY004
    ciphertext = await in_thread_if_large(len(encrypted), decode_base64, encrypted)
    plaintext = await crypto.aes_decrypt(key, ciphertext)
    content = await in_thread_if_large(len(plaintext), parse_json_object, plaintext.rstrip(b"\x00"))
    if content is None:
        message = "encryptedContent holds no JSON object"
        raise ValueError(message)
    return content


async def _with_opened_compounds(
    crypto: Crypto, key: bytes, content: Mapping[str, Any]
) -> dict[str, Any]:
    """Return content of which nested services of the past are opened, too."""
    opened = dict(content)
    for language, value in content.items():
        nested = as_list(as_object(value).get(_COMPOUND))
        if nested:
            services = [
                await _opened(crypto, key, inner) if is_object(inner) else inner for inner in nested
            ]
            opened[language] = {**value, _COMPOUND: services}
    return opened


# --- Writing --------------------------------------------------------------------------------------


def storable_service(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service in clear as it is to be encrypted: without what belongs to its contact.

    Nested services lose the keys of the contacts that they were read from. The lists that other
    SDKs count on are there in each content.
    """
    dropped = {*OF_THE_CONTACT, _ENCRYPTED_CONTENT}
    stored = {name: value for name, value in service.items() if name not in dropped}
    content = stored.get(CONTENT)
    if is_object(content):
        stored[CONTENT] = {
            language: _storable_content(value) if is_object(value) else value
            for language, value in content.items()
        }
    return stored


def _storable_content(content: Mapping[str, Any]) -> dict[str, Any]:
    lists = {name: as_list(content.get(name)) for name in _LISTS}
    nested = [_nested(one) if is_object(one) else one for one in lists[_COMPOUND]]
    return {**content, **lists, _COMPOUND: nested}


def _nested(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service inside another one, which has its links in itself."""
    stored = storable_service(service)
    stored.pop(ENCRYPTED_SELF, None)
    links = {name: as_list(service.get(name)) for name in ("healthElementsIds", "formIds")}
    content = {CONTENT: stored.pop(CONTENT)} if CONTENT in stored else {}
    return {**stored, **links, **content}
