"""Exchange data maps, by which explicit owners find the exchange data of a delegation (§14.8)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox import entities
from icure_async.sandbox.calls import Call, Route, Text
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.secure_delegations import delegation_key
from icure_async.sandbox.shapes import is_object, object_in
from icure_async.sandbox.v2.exchange_data import check_fingerprints
from icure_async.sandbox.v2.forms import FORMS

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES", "add_to_map", "key_bytes"]

_KIND: Final = "exchangedatamap"
_IDS: Final = "encryptedExchangeDataIds"
_ACCESS_CONTROL_KEY: Final = re.compile(r"[0-9a-f]{32}")


def key_bytes(text: str) -> bytes:
    """Return the access control key that a text is in hex.

    Raises:
        ApiError: 400 if it is not one.
    """
    if not _ACCESS_CONTROL_KEY.fullmatch(text):
        raise bad_request("An access control key is 16 bytes in small hex digits")
    return bytes.fromhex(text)


def add_to_map(tx: Transaction, key: str, encrypted_ids: Json) -> None:
    """Add to the map of a delegation key what it lacks; what it has stays as it is."""
    current = tx.get(_KIND, key)
    if current is None:
        entities.put_first(tx, _KIND, {"id": key, _IDS: encrypted_ids})
        return
    known = object_in(current, _IDS)
    if encrypted_ids.keys() - known.keys():
        entities.put_next(tx, _KIND, {**current, _IDS: {**encrypted_ids, **known}})


def _add_all(tx: Transaction, call: Call) -> Text:
    batch = call.json_object().get("batch")
    if not is_object(batch):
        raise bad_request("batch must be an object")
    read = {delegation_key(key_bytes(key)): _read(value) for key, value in batch.items()}
    for key, encrypted_ids in read.items():
        add_to_map(tx, key, encrypted_ids)
    return Text("ok")


def _read(encrypted_ids: Any) -> Json:
    read = FORMS[_KIND].read({"id": "", _IDS: encrypted_ids}).get(_IDS)
    if not read:
        raise bad_request("An exchange data map must not be empty")
    check_fingerprints(read, _IDS)
    return dict(read)


def _by_ids(tx: Transaction, call: Call) -> list[Json]:
    return [FORMS[_KIND].show(call, one) for one in tx.each(_KIND, call.id_list())]


ROUTES: Final[list[Route]] = [
    Route("PUT", "/exchangedatamap/batch", _add_all),
    Route("POST", "/exchangedatamap/batch", _by_ids),
]
"""Endpoints under ``/exchangedatamap``."""
