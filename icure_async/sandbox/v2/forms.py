"""The form of what only the backend of today has: exchange data, their maps, recovery data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox.dto import Schema
from icure_async.sandbox.tables import ENTITIES
from icure_async.sandbox.v2.record_tables import RECORD_TABLES

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json

__all__ = ["FORMS", "NEW_KINDS", "Form", "sparse"]

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
        "secretForeignKeys": "string[] = []",
        "cryptedForeignKeys": "{string: Delegation[]} = {}",
        "delegations": "{string: Delegation[]} = {}",
        "encryptionKeys": "{string: Delegation[]} = {}",
        "encryptedSelf": "string",
        "securityMetadata": "SecurityMetadata",
        "deletionDate": "integer",
    },
}


def sparse(entity: Json) -> Json:
    """Return an entity without what is null or empty (§14.1)."""
    return {name: value for name, value in entity.items() if value not in (None, [], {})}


class Form:
    """The properties of one kind, of which only those are kept and sent that have a value.

    What the older API fills in for clients is neither filled in nor sent here (§14.1).
    """

    def __init__(self, name: str, table: dict[str, str]) -> None:
        self._schema = Schema(name, {prop: _hidden(notation) for prop, notation in table.items()})
        self._names = frozenset(table)

    def knows(self, name: str) -> bool:
        """Return whether this kind has such a property."""
        return name in self._names

    def read(self, body: Any) -> Json:
        """Check what a client sends, drop what is unknown and leave out what is empty.

        Raises:
            ApiError: 400 that names the property that is missing or has the wrong type.
        """
        read = self._schema.read(body)
        return sparse({name: value for name, value in read.items() if name in body})

    def show(self, stored: Json) -> Json:
        """Return an entity as it is answered."""
        return sparse(self._schema.show(stored))


def _hidden(notation: str) -> str:
    is_shown = " = " in notation and not notation.startswith("hidden ")
    return f"hidden {notation}" if is_shown else notation


_ALL: Final = {
    **_TABLES,
    **RECORD_TABLES,
    "patient": ENTITIES["patient"],
    "maintenancetask": ENTITIES["maintenancetask"],
}
FORMS: Final[dict[str, Form]] = {name: Form(name, table) for name, table in _ALL.items()}
"""The form of each kind."""

NEW_KINDS: Final = frozenset(_TABLES)
"""Those that the older API does not know."""
