"""A notary's share of somebody's private key, and the way a private key was split."""

from __future__ import annotations

import base64
import json
from typing import Any, Final, cast

import attrs

from icure_async.errors import ValidationError
from icure_async.json_shapes import parse_json_object

__all__ = ["KeyShare", "KeySplit"]

_VERSION: Final = 1
_MEMBERS: Final = frozenset({"version", "dataOwnerId", "notaryId", "contents"})


@attrs.frozen(kw_only=True)
class KeySplit:
    """The way a private key was split.

    Attributes:
        data_owner_id: whose key it is.
        fingerprint: of the key pair (32 hex characters).
        notary_ids: the data owners who hold a share each.
        threshold: how many shares make up the key.
    """

    data_owner_id: str
    fingerprint: str
    notary_ids: tuple[str, ...]
    threshold: int


@attrs.frozen(kw_only=True)
class KeyShare:
    """A notary's share of somebody's private key.

    Threshold shares are as good as the key, and so is the only share of a key with one notary: hand
    it to nobody but the owner.

    Attributes:
        data_owner_id: whose key it is a share of.
        notary_id: the data owner who holds it.
        contents: the share; more than one candidate where several exchange keys seem to open it,
            which is for the recombination to find out. Never in a repr.

    Example:
        >>> split = await api.data_owner_api.split_private_key_among([colleague_id], replace=True)
        >>> share = await colleague_api.data_owner_api.get_key_share_of(await api.data_owner_id())
        >>> KeyShare.from_json(share.to_json()) == share
        True
    """

    data_owner_id: str
    notary_id: str
    contents: tuple[bytes, ...] = attrs.field(repr=False)

    def to_json(self) -> str:
        """Return the share as JSON, with a version, to be handed to the owner. It is a secret.

        Example:
            >>> split = await api.data_owner_api.split_private_key_among(
            ...     [colleague_id], replace=True
            ... )
            >>> share = await colleague_api.data_owner_api.get_key_share_of(
            ...     await api.data_owner_id()
            ... )
            >>> KeyShare.from_json(share.to_json()) == share
            True
        """
        members = {
            "version": _VERSION,
            "dataOwnerId": self.data_owner_id,
            "notaryId": self.notary_id,
            "contents": [base64.b64encode(content).decode("ascii") for content in self.contents],
        }
        return json.dumps(members, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> KeyShare:
        """Return the share that :meth:`to_json` wrote.

        Raises:
            ValidationError: it is not such a text, or was written by a newer SDK.

        Example:
            >>> split = await api.data_owner_api.split_private_key_among(
            ...     [colleague_id], replace=True
            ... )
            >>> share = await colleague_api.data_owner_api.get_key_share_of(
            ...     await api.data_owner_id()
            ... )
            >>> KeyShare.from_json(share.to_json()) == share
            True
        """
        members = parse_json_object(text) or {}
        version = members.get("version")
        is_number = isinstance(version, int) and not isinstance(version, bool)
        if is_number and cast("int", version) > _VERSION:
            raise ValidationError(
                "This key share was saved by a newer version of the SDK: update the SDK."
            )
        share = _from_members(members) if is_number and version == _VERSION else None
        if share is None:
            raise ValidationError("This is not a saved key share: pass what to_json() returned.")
        return share


def _from_members(members: dict[str, Any]) -> KeyShare | None:
    owner_id, notary_id = members.get("dataOwnerId"), members.get("notaryId")
    texts = members.get("contents")
    if (
        members.keys() != _MEMBERS
        or not isinstance(owner_id, str)
        or not isinstance(notary_id, str)
        or not isinstance(texts, list)
        or not owner_id
        or not notary_id
    ):
        return None
    try:
        contents = tuple(base64.b64decode(text, validate=True) for text in cast("list[str]", texts))
    except (TypeError, ValueError):
        return None
    if not contents or not all(contents):
        return None
    return KeyShare(data_owner_id=owner_id, notary_id=notary_id, contents=contents)
