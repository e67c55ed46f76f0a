"""``encryptedSelf``: the encrypted members of an entity, as base64 of ``IV ‖ AES-CBC(JSON)``.

Objects in an entity may have one of their own, at any depth, under the key of the entity. Source:
cryptography.md §6 and today.md §6.
"""

from __future__ import annotations

import json
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from icure_async.crypto.encoding import decode_base64, encode_base64
from icure_async.crypto.threads import INLINE_BYTES, in_thread, in_thread_if_large
from icure_async.entities.wholeness import ENTITY_METADATA, KEY_MATERIAL
from icure_async.json_shapes import as_list, as_object, is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from icure_async.crypto.protocol import Crypto

__all__ = [
    "ENCRYPTED_SELF",
    "NOTHING_INSIDE",
    "EncryptedIn",
    "as_encrypted",
    "decrypt_members",
    "encrypt_members",
    "encrypted_parts",
    "is_empty",
    "javascript_json",
    "nested_ciphertexts",
    "opens",
]

ENCRYPTED_SELF: Final = "encryptedSelf"

# These members say which entity this is, who can read it, and which keys a data owner has. Somebody
# who may write one entity could otherwise hide the id of another in it, and have the next reader
# save over that one; or have it move a data owner's keys to where nobody looks for them.
_ALWAYS_CLEAR: Final = frozenset({"id", "rev", *ENTITY_METADATA, *KEY_MATERIAL})
_ALWAYS_CLEAR_INSIDE: Final = frozenset({ENCRYPTED_SELF})
# JavaScript writes numbers of this many digits without an exponent.
_PLAIN_DIGITS: Final = 21
_PLAIN_ZEROS: Final = 6
_TOO_DEEP: Final = "the document is nested too deeply"
_NOT_JSON: Final = "the document holds a value that JSON has not"

EncryptedIn: TypeAlias = "Mapping[str, tuple[str, ...] | None]"
"""Members that are encrypted inside others, as in ``notes[].markdown``.

The keys are paths: the list ``notes`` of the document, the list ``services.notes`` in the elements
of another. The value is the names of members of the elements, and None for all of them.
"""

NOTHING_INSIDE: Final[EncryptedIn] = MappingProxyType({})


@attrs.frozen(eq=False, repr=False)
class _Before:
    """The members that a present ``encryptedSelf`` holds.

    Attributes:
        members: by name.
        ciphertext: that ``encryptedSelf``; None where there is none that may stay.
    """

    members: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    ciphertext: str | None = None


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
    """Return the members in which something is encrypted: ``encryptedSelf``, lists and objects."""
    parts = [ENCRYPTED_SELF] if document.get(ENCRYPTED_SELF) else []
    for name, value in document.items():
        # Most members are texts, or empty.
        if not value or isinstance(value, str) or name == ENCRYPTED_SELF:
            continue
        if name not in _ALWAYS_CLEAR and _has_encrypted(value):
            parts.append(name)
    return parts


async def encrypt_members(
    crypto: Crypto,
    key: bytes,
    document: Mapping[str, Any],
    members: Collection[str],
    inside: EncryptedIn = NOTHING_INSIDE,
) -> dict[str, Any]:
    """Return the document with the named members moved into ``encryptedSelf``.

    Encrypted members stay encrypted: those that the document's present ``encryptedSelf`` holds
    are moved too, whatever their names, and the same goes for objects in it that have one. Where
    such a member is gone, it is encrypted as missing: nothing in clear next to it is believed.

    A present ``encryptedSelf`` that holds just what is to be encrypted stays as it is.

    Args:
        crypto: encrypts and decrypts.
        key: the key of the entity.
        document: the entity, in clear next to its present ``encryptedSelf``.
        members: names of the members to encrypt.
        inside: members to encrypt in the elements of its lists (docs/spec/today.md §6).

    Raises:
        ValueError: some present ``encryptedSelf`` can't be decrypted with ``key``.
    """
    return await _Cipher(crypto, key, inside).closed_document(document, members)


async def as_encrypted(
    crypto: Crypto, key: bytes, document: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the encrypted document that one in clear was made of, or None where it has changed.

    Args:
        crypto: decrypts.
        key: the key of the entity.
        document: the entity, in clear next to its ``encryptedSelf``.

    Raises:
        ValueError: some ``encryptedSelf`` can't be decrypted with ``key``.
    """
    try:
        return await _Cipher(crypto, key, is_fixed=True).closed_document(document, ())
    except _ChangedError:
        return None


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
    return await _Cipher(crypto, key).opened_document(
        document, encrypted_parts(document) if parts is None else parts
    )


async def opens(
    crypto: Crypto, key: bytes, document: Mapping[str, Any], parts: Collection[str] | None = None
) -> bool:
    """Return whether a key decrypts what is encrypted in a document, as :func:`decrypt_members`."""
    try:
        await decrypt_members(crypto, key, document, parts)
    except ValueError:
        return False
    return True


class _ChangedError(Exception):
    """The content to encrypt is another one than before."""


@attrs.frozen(eq=False, repr=False)
class _Cipher:
    """Opens and closes one entity.

    Attributes:
        crypto: encrypts and decrypts.
        key: the key of the entity.
        inside: members to encrypt in the elements of its lists.
        is_fixed: whether nothing is to be encrypted anew.
    """

    crypto: Crypto
    key: bytes
    inside: EncryptedIn = NOTHING_INSIDE
    is_fixed: bool = False

    async def opened_document(
        self, document: Mapping[str, Any], parts: Collection[str]
    ) -> dict[str, Any]:
        """Return a document with every ``encryptedSelf`` in some of its members opened."""
        result = dict(document)
        try:
            for name in parts:
                if name != ENCRYPTED_SELF:
                    result[name] = await self._opened(result[name])
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None
        return result | dict((await self.before(document, _ALWAYS_CLEAR)).members)

    async def closed_document(
        self, document: Mapping[str, Any], members: Collection[str]
    ) -> dict[str, Any]:
        """Return a document with members encrypted: those that are named, and those that were."""
        try:
            before = await self.before(document, _ALWAYS_CLEAR)
            hidden = dict.fromkeys([*members, *before.members])
            result = {name: value for name, value in document.items() if name not in hidden}
            content = await self._content(document, before.members, members)
            listed = {path.partition(".")[0] for path in self.inside}
            for name in {*encrypted_parts(result), *listed} - {ENCRYPTED_SELF}:
                if name in result:
                    result[name] = await self._closed(result[name], name)
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None
        if document.get(ENCRYPTED_SELF) or not self.is_fixed:
            result[ENCRYPTED_SELF] = await self._sealed(content, before)
        return result

    async def before(self, document: Mapping[str, Any], always_clear: Collection[str]) -> _Before:
        """Return the members in the ``encryptedSelf`` of an object; none without one.

        Raises:
            ValueError: it can't be decrypted.
        """
        encrypted = document.get(ENCRYPTED_SELF)
        if not encrypted:
            return _Before()
        if not isinstance(encrypted, str):
            message = "encryptedSelf is not a text"
            raise ValueError(message)  # noqa: TRY004
        if len(encrypted) <= INLINE_BYTES:
            members = _parse(await self.crypto.aes_decrypt(self.key, decode_base64(encrypted)))
        else:
            ciphertext = await in_thread(decode_base64, encrypted)
            members = await in_thread(_parse, await self.crypto.aes_decrypt(self.key, ciphertext))
        believed = {name: value for name, value in members.items() if name not in always_clear}
        # One that holds more than is believed is replaced: other SDKs might believe it.
        return _Before(believed, encrypted if len(believed) == len(members) else None)

    async def _opened(self, value: Any) -> Any:
        if is_list(value):
            return [await self._opened(item) for item in value]
        if not is_object(value):
            return value
        result = {name: await self._opened(inner) for name, inner in value.items()}
        return result | dict((await self.before(value, _ALWAYS_CLEAR_INSIDE)).members)

    async def _closed(self, value: Any, path: str) -> Any:
        """Return a value with the members encrypted that are to be, and those that were.

        Args:
            value: an object, a list or something else.
            path: the members that lead to it.
        """
        if is_list(value):
            return [await self._closed(item, path) for item in value]
        if not is_object(value):
            return value
        before = await self.before(value, _ALWAYS_CLEAR_INSIDE)
        names = self.inside.get(path, ())
        wanted = {*(value if names is None else names), *before.members}
        # Backends fill in what is empty.
        wanted -= {name for name in wanted - before.members.keys() if is_empty(value.get(name))}
        content: dict[str, Any] = {}
        result: dict[str, Any] = {}
        for name, inner in value.items():
            if name == ENCRYPTED_SELF:
                continue
            if name in wanted:
                content[name] = inner if name in before.members else await self._one_layer(inner)
            else:
                result[name] = await self._closed(inner, f"{path}.{name}")
        if content or value.get(ENCRYPTED_SELF):
            result[ENCRYPTED_SELF] = await self._sealed(content, before)
        return result

    async def _content(
        self, document: Mapping[str, Any], before: Mapping[str, Any], members: Collection[str]
    ) -> dict[str, Any]:
        """Return those members of the document that are to be hidden.

        Args:
            document: the entity.
            before: the members that were hidden.
            members: the names of those that are to be, besides.
        """
        content: dict[str, Any] = {}
        for name in dict.fromkeys([*members, *before]):
            if name in document:
                value = document[name]
                content[name] = value if name in before else await self._one_layer(value)
            elif name not in members:
                content[name] = _nothing_like(before[name])
        return content

    async def _one_layer(self, value: Any) -> Any:
        """Return a value that is encrypted as a whole: one layer is enough.

        An ``encryptedSelf`` in it would outlast changes, and other SDKs would believe it.
        """
        if _has_encrypted(value):
            return await self._without_encrypted(value)
        return value

    async def _without_encrypted(self, value: Any) -> Any:
        if is_list(value):
            return [await self._without_encrypted(item) for item in value]
        if not is_object(value):
            return value
        # One of another entity is refused.
        await self.before(value, _ALWAYS_CLEAR_INSIDE)
        return {
            name: await self._without_encrypted(inner)
            for name, inner in value.items()
            if name != ENCRYPTED_SELF
        }

    async def _sealed(self, content: Mapping[str, Any], before: _Before) -> str:
        """Return members as an ``encryptedSelf``: the present one if it holds them."""
        if before.ciphertext is not None and _is_same(content, before.members):
            return before.ciphertext
        if self.is_fixed:
            raise _ChangedError
        plaintext = await in_thread_if_large(_size(content), javascript_json, content)
        ciphertext = await self.crypto.aes_encrypt(self.key, plaintext)
        return await in_thread_if_large(len(ciphertext), encode_base64, ciphertext)


def nested_ciphertexts(document: Mapping[str, Any]) -> list[str]:
    """Return every ``encryptedSelf`` in the members of a document, in one order."""
    found: list[str] = []
    pending = [document[name] for name in encrypted_parts(document) if name != ENCRYPTED_SELF]
    while pending:
        value = pending.pop()
        if is_object(value):
            found += [value[ENCRYPTED_SELF]] if isinstance(value.get(ENCRYPTED_SELF), str) else []
            pending += value.values()
        elif is_list(value):
            pending += value
    return sorted(found)


def is_empty(value: object) -> bool:
    """Return whether a member is there as good as not: backends add and drop such."""
    return value is None or value == [] or value == {}


def _nothing_like(value: object) -> object:
    if is_list(value):
        return []
    return {} if is_object(value) else None


def _has_encrypted(value: object) -> bool:
    """Return whether an object in a list or an object, or itself, has an ``encryptedSelf``."""
    pending: list[Any] = [value]
    while pending:
        inner = pending.pop()
        if is_object(inner):
            if inner.get(ENCRYPTED_SELF):
                return True
            pending += [item for item in inner.values() if item and not isinstance(item, str)]
        elif is_list(inner):
            pending += [item for item in inner if item and not isinstance(item, str)]
    return False


def _is_same(content: object, before: object) -> bool:
    """Return whether two values are the same JSON, whatever the order of members."""
    if is_object(content) and is_object(before):
        return content.keys() == before.keys() and all(
            _is_same(value, before[name]) for name, value in content.items()
        )
    if is_list(content) and is_list(before):
        return len(content) == len(before) and all(map(_is_same, content, before))
    return isinstance(content, bool) == isinstance(before, bool) and content == before


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
