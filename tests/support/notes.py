"""Notes that an encoding mistake on either side would damage."""

from __future__ import annotations

MARKER = "Winter is coming"

NOTES = {
    "ascii": MARKER,
    "empty": "",
    "unicode": (
        "Zoë ✓ \U0001d4b2 \U0001f469\u200d\u2695\ufe0f e\u0301 "
        f"\u202e\u05d4\u05d7\u05d5\u05e8\u05e3\u202c \ufeff {MARKER}"
    ),
    "controls": f"\x00before\x00after\x01\x1f\x7f\x85\u2028\u2029\r\n\t\b\f\"'\\/</x> {MARKER}\x00",
    "not_characters": f"\ufdd0\uffff\U0010ffff {MARKER}",
    "70,000_characters": MARKER + "".join(chr(0x4E00 + n % 5003) for n in range(70_000)),
}

LONE_SURROGATES = f"\udc00 {MARKER} \ud83d"
