"""Keys for the storages of single users, derived from secrets."""

from __future__ import annotations

from typing import Final

from icure_async.errors import ValidationError

__all__ = ["derive_user_key"]

_MIN_SECRET: Final = 32
_KEY_BYTES: Final = 32
_LENGTH_BYTES: Final = 8
# Keys that were derived once open what they sealed: never change these.
_OF_SERVICE: Final = b"icure-user-key-1 service\0"
_OF_BOTH: Final = b"icure-user-key-1 service and user\0"


def derive_user_key(
    service_secret: bytes | str, user_id: str, *, user_secret: bytes | str | None = None
) -> bytes:
    """Return the key of one user, for an :class:`~icure_async.storage.EncryptedStorage`.

    With a user's secret, which the user brings along with each request (in a cookie, for example)
    and the service never stores, neither the database nor the configuration of the service opens
    anything of the user's, nor do both together. If that secret is lost, so is all it has sealed.

    Args:
        service_secret: 32 bytes or more, or a text of as many characters: a random one, as
            ``secrets.token_urlsafe(32)`` makes, from the configuration of the service.
        user_id: ``str``, any text that names the user for ever.
        user_secret: of the same size, a secret of the user's own; None for a key of the service.

    Returns:
        32 bytes (HKDF-SHA256). Another user, another secret, another key.

    Raises:
        ValidationError: a secret is too short, or the user id is empty or not valid text.
    """
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    service = _checked(service_secret, "service's")
    if not isinstance(user_id, str) or not user_id:
        raise ValidationError("The user id must be a text that is not empty.")
    user = _bytes_of(user_id)
    if user is None:
        raise ValidationError("The user id must not contain lone surrogates.")
    material, purpose = service, _OF_SERVICE
    if user_secret is not None:
        # With its length: no other two secrets make the same bytes.
        material = len(service).to_bytes(_LENGTH_BYTES, "big") + service
        material += _checked(user_secret, "user's")
        purpose = _OF_BOTH
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=purpose + user).derive(material)


def _checked(secret: bytes | str, owner: str) -> bytes:
    data = _bytes_of(secret) if isinstance(secret, str) else secret
    if not isinstance(data, bytes) or len(secret) < _MIN_SECRET:
        raise ValidationError(
            f"The {owner} secret must be random, of {_MIN_SECRET} bytes or characters or more: "
            "secrets.token_urlsafe(32) makes one."
        )
    return data


def _bytes_of(text: str) -> bytes | None:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return None
