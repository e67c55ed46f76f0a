"""``encryptedSelf``: the encrypted members of an entity, as base64 of ``IV ‖ AES-CBC(JSON)``.

Source: cryptography.md §6.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from icure_async.crypto.encoding import decode_base64, encode_base64
from icure_async.crypto.threads import INLINE_BYTES, in_thread, in_thread_if_large
from icure_async.entities.wholeness import ENTITY_METADATA, KEY_MATERIAL
from icure_async.json_shapes import as_list, as_object, is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from icure_async.crypto.protocol import Crypto

__all__ = [
    "ENCRYPTED_SELF",
    "decrypt_members",
    "encrypt_members",
    "encrypted_parts",
    "hidden_members",
    "javascript_json",
]

ENCRYPTED_SELF: Final = "encryptedSelf"

# These members say which entity this is, who can read it, and which keys a data owner has. Somebody
# who may write one entity could otherwise hide the id of another in it, and have the next reader
# save over that one; or have it move a data owner's keys to where nobody looks for them.
_ALWAYS_CLEAR: Final = frozenset({"id", "rev", *ENTITY_METADATA, *KEY_MATERIAL})
_ALWAYS_CLEAR_IN_ELEMENTS: Final = frozenset({ENCRYPTED_SELF})
# JavaScript writes numbers of this many digits without an exponent.
_PLAIN_DIGITS: Final = 21
_PLAIN_ZEROS: Final = 6
_TOO_DEEP: Final = "the document is nested too deeply"
_NOT_JSON: Final = "the document holds a value that JSON has not"


def javascript_json(members: Mapping[str, Any]) -> bytes:
    r"""Return the members as the UTF-8 bytes that ``JSON.stringify`` gives.

    Compact, non-ASCII raw, a lone surrogate as ``\udxxx`` in lower case, numbers spelled as
    JavaScript does. Members keep their order.

    Raises:
        ValueError: a value is not JSON, or the nesting is too deep.
    """
    try:
        text = _javascript_text(members)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except TypeError:
        raise ValueError(_NOT_JSON) from None
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        # Two halves of a pair that got here one by one are one character to JavaScript.
        joined = text.encode("utf-16", errors="surrogatepass")
        text = joined.decode("utf-16", errors="surrogatepass")
        return text.encode("utf-8", errors="backslashreplace")


def encrypted_parts(document: Mapping[str, Any]) -> list[str]:
    """Return the members in which something is encrypted: ``encryptedSelf``, and lists."""
    parts = [ENCRYPTED_SELF] if document.get(ENCRYPTED_SELF) else []
    for name, value in document.items():
        # Most members are texts, or empty.
        if not value or isinstance(value, str) or not is_list(value):
            continue
        if name != ENCRYPTED_SELF and _has_encrypted(value):
            parts.append(name)
    return parts


async def encrypt_members(
    crypto: Crypto, key: bytes, document: Mapping[str, Any], members: Collection[str]
) -> dict[str, Any]:
    """Return the document with the named members moved into ``encryptedSelf``.

    Encrypted members stay encrypted: those that the document's present ``encryptedSelf`` holds
    are moved too, whatever their names, and the same goes for list elements that have one. Where
    such a member is gone, it is encrypted as missing: nothing in clear next to it is believed.

    Raises:
        ValueError: some present ``encryptedSelf`` can't be decrypted with ``key``.
    """
    try:
        before = await _open(crypto, key, document, _ALWAYS_CLEAR)
        hidden = dict.fromkeys([*members, *before])
        result = {name: value for name, value in document.items() if name not in hidden}
        content = await _content(crypto, key, document, before, members)
        for name in encrypted_parts(result):
            if name != ENCRYPTED_SELF:
                result[name] = [await _encrypt_element(crypto, key, item) for item in result[name]]
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    result[ENCRYPTED_SELF] = await _seal(crypto, key, content)
    return result


async def decrypt_members(
    crypto: Crypto, key: bytes, document: Mapping[str, Any], parts: Collection[str] | None = None
) -> dict[str, Any]:
    """Return the document with the members of every ``encryptedSelf`` in it merged in.

    ``encryptedSelf`` itself stays. A decrypted member replaces one in clear, except for the
    entity's id, revision and key material, which are never taken from there.

    Args:
        crypto: decrypts.
        key: the key of the entity.
        document: the entity.
        parts: its :func:`encrypted_parts`, where they are known already.

    Raises:
        ValueError: some ``encryptedSelf`` can't be decrypted with ``key``, or is no JSON object.
    """
    result = dict(document)
    try:
        for name in encrypted_parts(document) if parts is None else parts:
            if name != ENCRYPTED_SELF:
                result[name] = [await _decrypt_element(crypto, key, item) for item in result[name]]
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    result.update(await _open(crypto, key, document, _ALWAYS_CLEAR))
    return result


async def hidden_members(crypto: Crypto, key: bytes, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members in the document's own ``encryptedSelf``; none without one.

    Raises:
        ValueError: it can't be decrypted with ``key``.
    """
    return await _open(crypto, key, document, _ALWAYS_CLEAR)


async def _decrypt_element(crypto: Crypto, key: bytes, element: Any) -> Any:
    if not is_object(element):
        return element
    result = dict(element)
    for name, value in element.items():
        if is_list(value):
            result[name] = [await _decrypt_element(crypto, key, inner) for inner in value]
    return result | await _open(crypto, key, element, _ALWAYS_CLEAR_IN_ELEMENTS)


async def _encrypt_element(crypto: Crypto, key: bytes, element: Any) -> Any:
    if not is_object(element):
        return element
    hidden = await _open(crypto, key, element, _ALWAYS_CLEAR_IN_ELEMENTS)
    content = {name: element[name] for name in hidden if name in element}
    result = {name: value for name, value in element.items() if name not in hidden}
    for name, value in result.items():
        if is_list(value):
            result[name] = [await _encrypt_element(crypto, key, inner) for inner in value]
    if element.get(ENCRYPTED_SELF):
        result[ENCRYPTED_SELF] = await _seal(crypto, key, content)
    return result


async def _content(
    crypto: Crypto,
    key: bytes,
    document: Mapping[str, Any],
    before: Mapping[str, Any],
    members: Collection[str],
) -> dict[str, Any]:
    """Return those members of the document that are to be hidden.

    Args:
        crypto: decrypts.
        key: the key of the entity.
        document: the entity.
        before: the members that were hidden.
        members: the names of those that are to be, besides.
    """
    content: dict[str, Any] = {}
    for name in dict.fromkeys([*members, *before]):
        if name in document:
            value = document[name]
            if name not in before and is_list(value) and _has_encrypted(value):
                value = [await _without_encrypted(crypto, key, item) for item in value]
            content[name] = value
        elif name not in members:
            content[name] = _nothing_like(before[name])
    return content


def _nothing_like(value: object) -> object:
    if is_list(value):
        return []
    return {} if is_object(value) else None


async def _without_encrypted(crypto: Crypto, key: bytes, element: Any) -> Any:
    """Return an element of a list that is encrypted as a whole: one layer is enough.

    Its own ``encryptedSelf`` would outlast changes, and other SDKs would believe it.
    """
    if not is_object(element):
        return element
    await _open(crypto, key, element, _ALWAYS_CLEAR_IN_ELEMENTS)
    return {
        name: [await _without_encrypted(crypto, key, item) for item in value]
        if is_list(value)
        else value
        for name, value in element.items()
        if name != ENCRYPTED_SELF
    }


def _has_encrypted(elements: list[Any]) -> bool:
    """Return whether an element of a list, or of a list in it, has an ``encryptedSelf``."""
    pending = [element for element in elements if is_object(element)]
    while pending:
        element = pending.pop()
        if element.get(ENCRYPTED_SELF):
            return True
        for value in element.values():
            if value and not isinstance(value, str) and is_list(value):
                pending += filter(is_object, value)
    return False


async def _seal(crypto: Crypto, key: bytes, content: Mapping[str, Any]) -> str:
    """Return members of a document as an ``encryptedSelf``."""
    plaintext = await in_thread_if_large(_size(content), javascript_json, content)
    ciphertext = await crypto.aes_encrypt(key, plaintext)
    return await in_thread_if_large(len(ciphertext), encode_base64, ciphertext)


async def _open(
    crypto: Crypto, key: bytes, document: Mapping[str, Any], always_clear: Collection[str]
) -> dict[str, Any]:
    """Return the members in the document's own ``encryptedSelf``; none without one."""
    encrypted = document.get(ENCRYPTED_SELF)
    if not encrypted:
        return {}
    if not isinstance(encrypted, str):
        message = "encryptedSelf is not a text"
        raise ValueError(message)  # noqa: TRY004
    if len(encrypted) <= INLINE_BYTES:
        members = _parse(await crypto.aes_decrypt(key, decode_base64(encrypted)))
    else:
        ciphertext = await in_thread(decode_base64, encrypted)
        members = await in_thread(_parse, await crypto.aes_decrypt(key, ciphertext))
    return {name: value for name, value in members.items() if name not in always_clear}


def _parse(plaintext: bytes) -> dict[str, Any]:
    # Strict, unlike the reference, which turns damaged bytes into U+FFFD: CBC has no MAC, and
    # invalid UTF-8 is the one sign that a block was tampered with. Past versions left NULs behind.
    text = plaintext.decode("utf-8").removeprefix("\ufeff").rstrip("\0")
    try:
        members: object = _JSON.decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if not is_object(members):
        message = "the decrypted content is not a JSON object"
        raise ValueError(message)
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse(text)
    return number


def _refuse(constant: str) -> None:
    message = f"{constant} is not JSON"
    raise ValueError(message)


_JSON: Final = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _size(content: object) -> int:
    """Return about how many characters there are in the content."""
    total = 0
    pending = [content]
    while pending:
        value = pending.pop()
        pending += as_object(value).values()
        pending += as_list(value)
        total += len(value) if isinstance(value, str) else 1
    return total


def _javascript_text(value: object) -> str:
    if is_object(value):
        return "{" + ",".join(_javascript_members(value)) + "}"
    if is_list(value):
        return "[" + ",".join([_javascript_text(item) for item in value]) + "]"
    if isinstance(value, float):
        return _javascript_number(value)
    return json.dumps(value, ensure_ascii=False)


def _javascript_members(members: dict[str, Any]) -> Iterator[str]:
    for name, value in members.items():
        yield json.dumps(name, ensure_ascii=False) + ":" + _javascript_text(value)


def _javascript_number(value: float) -> str:
    """Return a number as ECMAScript's Number::toString spells it."""
    if not math.isfinite(value):
        message = "JSON has no such number"
        raise ValueError(message)
    if value == 0:
        return "0"
    # Few records have a fraction, and the import takes a millisecond.
    from decimal import Decimal

    sign, figures, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, figures))
    point = len(digits) + int(exponent)
    if point > _PLAIN_DIGITS or point <= -_PLAIN_ZEROS:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{point - 1:+d}"
    elif point <= 0:
        text = f"0.{'0' * -point}{digits}"
    elif point < len(digits):
        text = f"{digits[:point]}.{digits[point:]}"
    else:
        text = digits.ljust(point, "0")
    return "-" + text if sign else text
