"""Keys and encrypted content of a document: there as a whole, and the same in two answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.entities.delegations import has_keys
from icure_async.entities.encrypted_self import ENCRYPTED_SELF, nested_ciphertexts
from icure_async.entities.known_parts import same_parts
from icure_async.entities.secure_delegations import has_secure_delegations
from icure_async.entities.wholeness import ENTITY_METADATA, KEY_MATERIAL, same_material
from icure_async.errors import CryptoError, InvalidResponseError
from icure_async.foreign_text import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

__all__ = [
    "compare_with_stored",
    "confirm_content",
    "is_in_clear",
    "require_all_parts",
    "require_no_content",
    "require_same_material",
]


def is_in_clear(document: Mapping[str, Any]) -> bool:
    """Return whether an entity has keys, and nothing is encrypted with them.

    That is a form of the past (cryptography.md §6.6), or an answer of which a part was cut off.
    """
    return (has_keys(document) or has_secure_delegations(document)) and not document.get(
        ENCRYPTED_SELF
    )


def require_all_parts(document: Mapping[str, Any], members: Sequence[str], what: str) -> None:
    """Refuse to encrypt an entity of which a part was cut off: it would be lost for good.

    Args:
        document: the entity.
        members: those that are encrypted in entities of this kind; one in clear stands for the
            encrypted content.
        what: the entity in words.

    Raises:
        CryptoError: it has keys, and lacks what belongs to them.
    """
    if not has_keys(document) and not has_secure_delegations(document):
        return
    missing = ["delegations"] if has_keys(document) and not document.get("delegations") else []
    if not document.get(ENCRYPTED_SELF) and not any(document.get(name) for name in members):
        missing.append("encrypted content")
    if missing:
        raise CryptoError(
            f"{what.capitalize()} {printable(document['id'])} has keys, and no "
            f"{' and no '.join(missing)}: it looks as if a part was cut off, which saving would "
            "destroy. Nothing was sent. Read it again; where it stays so, call the administrator "
            "of the backend."
        )


def require_no_content(document: Mapping[str, Any], what: str) -> None:
    """Refuse to give an entity its first keys where something is encrypted with others already.

    Raises:
        CryptoError: it has encrypted content.
    """
    if document.get(ENCRYPTED_SELF):
        raise CryptoError(
            f"{what.capitalize()} {printable(document['id'])} has encrypted content, and no keys: "
            "it looks as if a part was cut off, which saving would destroy. Nothing was sent. Try "
            "again; where it stays so, call the administrator of the backend."
        )


def require_same_material(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], what: str, action: str
) -> None:
    """Refuse an answer whose keys or encrypted content are not those that we have.

    Raises:
        InvalidResponseError: they differ.
    """
    is_same = same_material(ours, theirs, (*ENTITY_METADATA, *KEY_MATERIAL))
    if not is_same or nested_ciphertexts(ours) != nested_ciphertexts(theirs):
        raise InvalidResponseError(
            f"Could not {action} {what} {printable(ours['id'])}: the server says two things about "
            "its keys or its encrypted content, which can't be decrypted therefore. Read it again "
            "to see what is stored."
        )


async def confirm_content(
    document: Mapping[str, Any],
    read: Callable[[str], Awaitable[Mapping[str, Any]]],
    what: str,
) -> None:
    """Read an entity once more that has keys and nothing that they open.

    Raises:
        InvalidResponseError: as for :func:`compare_with_stored`.
    """
    if is_in_clear(document):
        await compare_with_stored(document, read, what)


async def compare_with_stored(
    document: Mapping[str, Any],
    read: Callable[[str], Awaitable[Mapping[str, Any]]],
    what: str,
    stored: Mapping[str, Any] | None = None,
    parts: Sequence[str] = (),
) -> None:
    """Make sure that an entity has all its keys and content, which go back as a whole.

    Args:
        document: the entity.
        read: reads it again, by its id.
        what: the entity in words.
        stored: the entity, where it has been read again already.
        parts: names of lists that have to be the same, too.

    Raises:
        InvalidResponseError: the backend says something else about them by now, and has not given
            the entity another revision.
    """
    stored = stored or await read(str(document["id"]))
    if stored.get("rev") == document.get("rev"):
        require_same_material(document, stored, what, "use")
        if not same_parts(document, stored, parts):
            raise InvalidResponseError(
                f"Could not use {what} {printable(document['id'])}: the server says two things "
                "about what is in it. Nothing was changed. Try again; where it stays so, call the "
                "administrator of the backend."
            )
