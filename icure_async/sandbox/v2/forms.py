"""The form of entities in rest/v2: all of it, or today's model without what is empty (§14.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox.clinical_tables import ENCRYPTABLE
from icure_async.sandbox.dto import Schema, sparse
from icure_async.sandbox.tables import ENTITIES
from icure_async.sandbox.v2.differences import NOT_STANDARD, ONLY_V1, ONLY_V2
from icure_async.sandbox.v2.pruning import pruner_of
from icure_async.sandbox.v2.record_tables import RECORD_TABLES

if TYPE_CHECKING:
    from icure_async.sandbox.calls import Call
    from icure_async.sandbox.store import Json

__all__ = ["FORMS", "NEW_KINDS", "Form"]

_TABLES: Final[dict[str, dict[str, str]]] = {
    "exchangedata": {
        "id": "string!",
        "rev": "string",
        "delegator": "string!",
        "delegate": "string!",
        "exchangeKey": "{string: string}!",
        "accessControlSecret": "{string: string}!",
        "delegatorSignature": "{string: string} = {}",
        "sharedSignatureKey": "{string: string}!",
        "sharedSignature": "string!",
        "deletionDate": "integer",
    },
    "exchangedatamap": {
        "id": "string!",
        "rev": "string",
        "encryptedExchangeDataIds": "{string: string} = {}",
        "deletionDate": "integer",
    },
    "recoverydata": {
        "id": "string!",
        "rev": "string",
        "recipient": "string!",
        "encryptedSelf": "string!",
        "type": "RecoveryDataType!",
        "expirationInstant": "integer",
        "deletionDate": "integer",
    },
    "securedelegationkeymap": {
        "id": "string!",
        "rev": "string",
        "delegationKey": "string!",
        "delegator": "string",
        "delegate": "string",
        **ENCRYPTABLE,
        "deletionDate": "integer",
    },
}


class Form:
    """The properties of one kind, of which only those are kept that have a value.

    Clients that don't read today's model are sent what the older API fills in, too.
    """

    def __init__(self, name: str, table: dict[str, str], *, has_full_form: bool) -> None:
        self._schema = Schema(name, table, complete=False)
        self._full = Schema(name, table) if has_full_form else None
        self._prune = pruner_of(name, table)
        self._names = frozenset(table)
        self._standard = self._names - NOT_STANDARD.get(name, frozenset())

    def unknown_to(self, call: Call, stored: Json) -> Json:
        """Return the stored properties that the caller can't send, nor mean to remove."""
        known = self._standard if call.standard else self._names
        return {name: value for name, value in stored.items() if name not in known}

    def read(self, body: Any) -> Json:
        """Check what a client sends, drop what is unknown and leave out what is empty.

        Raises:
            ApiError: 400 that names the property that is missing or has the wrong type.
        """
        return self._schema.read(body)

    def show(self, call: Call, stored: Json) -> Json:
        """Return an entity as it is answered to this caller."""
        if self._full is not None and not call.standard:
            return self._full.show(stored)
        return sparse(self._prune(self._schema.show(stored)))


def _table_like_v1(kind: str) -> dict[str, str]:
    removed = ONLY_V1.get(kind, frozenset())
    kept = {prop: notation for prop, notation in ENTITIES[kind].items() if prop not in removed}
    return kept | ONLY_V2.get(kind, {})


_LIKE_V1: Final = ("patient", "maintenancetask", "user", "hcparty", "device", "stub")
_ALL: Final = {
    **_TABLES,
    **RECORD_TABLES,
    **{kind: _table_like_v1(kind) for kind in _LIKE_V1},
}
FORMS: Final[dict[str, Form]] = {
    name: Form(name, table, has_full_form=name not in _TABLES) for name, table in _ALL.items()
}
"""The form of each kind."""

NEW_KINDS: Final = frozenset(_TABLES)
"""Those that the older API does not know."""
