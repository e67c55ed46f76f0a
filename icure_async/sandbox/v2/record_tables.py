"""The properties of medical records in ``rest/v2``, in the notation of `tables` (§14.2)."""

from __future__ import annotations

from typing import Final

from icure_async.sandbox.clinical_tables import CLINICAL_TABLES

__all__ = ["RECORD_TABLES"]

_ONLY_V1: Final[dict[str, frozenset[str]]] = {
    "contact": frozenset({"participants"}),
    "document": frozenset({"encryptedAttachment", "decryptedAttachment"}),
}
_ONLY_V2: Final[dict[str, dict[str, str]]] = {
    "helement": {
        "status": "hidden integer = 0",
        "qualifiedLinks": "HealthElementQualifiedLink[] = []",
        "asserters": "HealthElementAsserter[] = []",
    },
    "contact": {
        "participantList": "ContactParticipant[] = []",
        "notes": "Annotation[] = []",
    },
    "document": {
        "mainAttachmentStoredDataSize": "integer",
        "extraMainAttachmentInfo": "DocumentExtraMainAttachmentInfo",
    },
}

RECORD_TABLES: Final[dict[str, dict[str, str]]] = {
    kind: {
        prop: notation
        for prop, notation in table.items()
        if prop not in _ONLY_V1.get(kind, frozenset())
    }
    | _ONLY_V2.get(kind, {})
    for kind, table in CLINICAL_TABLES.items()
}
"""Kind → property → type."""
