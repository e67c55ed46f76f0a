"""Contents of data samples of every kind, in the JSON form that all clients share."""

from __future__ import annotations

import base64
from typing import Any, Final

Json = dict[str, Any]

MARKER: Final = "SECRET-OF-A-SAMPLE"
BYTES: Final = bytes(range(256))

_WITH_UNIT: Final[Json] = {"value": 38.5, "unit": "°C"}

VALUES: Final[dict[str, Json]] = {
    "text": {"stringValue": f"{MARKER} Ω \U0001fa7a null"},
    "empty text": {"stringValue": ""},
    "number": {"numberValue": 61.4},
    "zero": {"numberValue": 0},
    "huge number": {"numberValue": 1.5e300},
    "yes": {"booleanValue": True},
    "no": {"booleanValue": False},
    "instant": {"instantValue": 1650409173106},
    "instant zero": {"instantValue": 0},
    "fuzzy date": {"fuzzyDateValue": 20220202},
    "bytes": {"binaryValue": base64.b64encode(BYTES).decode()},
    "measure": {
        "measureValue": {
            **_WITH_UNIT,
            "ref": 37,
            "severity": 2,
            "severityCode": "H",
            "evolution": -1,
            "comment": "after sport",
            "comparator": "<=",
            "unitCodes": [{"id": "UCUM|Cel|1", "type": "UCUM", "code": "Cel", "version": "1"}],
        }
    },
    "time series": {
        "timeSeries": {
            "fields": ["ms", "mV"],
            "samples": [[0, 216.5], [4, 194.25], [8, 289]],
            "min": [0, -1],
            "max": [8, 1.5],
            "mean": [4, 0.25],
            "median": [4, 0.5],
            "variance": [2.5, 0.125],
        }
    },
    "ratio": {"ratio": [{"value": 1, "unit": "mg"}, {"value": 2, "unit": "ml"}]},
    "range": {"range": [{"value": 60, "unit": "mmHg"}, {"value": 90, "unit": "mmHg"}]},
    "medication": {
        "medicationValue": {
            "instructionForPatient": f"with water {MARKER}",
            "numberOfPackages": 2,
        }
    },
}
"""One value of each kind."""

INNER_IDS: Final = ("11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002")

COMPOUND: Final[Json] = {
    "compoundValue": [
        {"id": INNER_IDS[0], "content": {"en": {"stringValue": MARKER}}},
        {
            "id": INNER_IDS[1],
            "content": {"en": {"compoundValue": [{"content": {"en": {"numberValue": 7}}}]}},
        },
    ]
}
"""Samples in a sample, and one of these in another one."""

CONTENTS: Final[dict[str, Json]] = {
    **{kind: {"en": value} for kind, value in VALUES.items()},
    "two languages": {"en": {"stringValue": "cough"}, "fr": {"stringValue": "toux"}},
    "compound": {"en": COMPOUND},
    "compound in one of two languages": {"en": COMPOUND, "fr": {"stringValue": "les deux"}},
}
"""Contents by kind: language → value."""


def said(content: Json) -> Json:
    """Return what a content says, in one form for all clients."""
    return {language: _said(value) for language, value in content.items()}


def _said(value: Json) -> Json:
    spoken = {name: _value(one) for name, one in value.items() if one not in (None, [])}
    if nested := value.get("compoundValue"):
        spoken["compoundValue"] = [said(one["content"]) for one in nested]
    return spoken


def _value(value: Any) -> Any:
    """Return a value without members that say nothing."""
    if isinstance(value, dict):
        return {name: _value(one) for name, one in value.items() if one not in (None, [], {})}
    return [_value(one) for one in value] if isinstance(value, list) else value
