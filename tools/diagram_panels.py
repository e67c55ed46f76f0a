"""The pictures of panels: what is stored where, who can open what, and the chain of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from diagram_shapes import Box, Canvas

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["WHO", "chain_diagram", "storage_diagram", "who_diagram"]

_SECRET, _SEALED, _CLEAR = "●", "◐", "○"

_STORED: Final = (
    (
        "Your device",
        "way",
        (
            (_SECRET, "private keys: files that", "only this user reads, or", "encrypted ones"),
            (_SECRET, "login and token, where", "you keep them"),
            (_SECRET, "a completion under way,", "until it is done"),
            (_CLEAR, "the keys of others that", "were seen or confirmed"),
            (_SECRET, "records that were opened,", "in memory"),
        ),
    ),
    (
        "Message gateway",
        "plain",
        (
            (_CLEAR, "email address, phone", "number and name"),
            (_CLEAR, "the id of the inviting", "professional"),
            (_SECRET, "the code, until it is used", "or too old"),
            (_SECRET, "the text of invitations,", "with login and token"),
        ),
    ),
    (
        "Backend",
        "plain",
        (
            (_CLEAR, "users and with whom", "they share by themselves"),
            (_SECRET, "passwords and tokens, as", "they are sent at a login"),
            (_CLEAR, "public keys"),
            (_SEALED, "exchange keys, transfer", "keys, shares of notaries,", "recovery copies"),
            (_CLEAR, "members of records that", "are in clear"),
            (_SEALED, "all other members"),
        ),
    ),
    (
        "Elsewhere",
        "done",
        (
            (_SEALED, "a backup: a file of", "export_keys()"),
            (_SECRET, "its passphrase, in", "another place"),
            (_SECRET, "a recovery key, on paper"),
            (_SECRET, "shares that notaries", "have handed over"),
            (_CLEAR, "digests of public keys, to", "compare with"),
        ),
    ),
)

_LEGEND: Final = (
    f"{_SECRET} secret, readable in this place",
    f"{_SEALED} encrypted, and can't be opened in this place",
    f"{_CLEAR} readable in this place",
)


def storage_diagram() -> str:
    """Return the picture of what is stored where."""
    words = ". ".join(
        f"{title}: " + "; ".join(f"{mark} {' '.join(lines)}" for mark, *lines in items)
        for title, _, items in _STORED
    )
    canvas = Canvas(1000, 440, "The contents of each place", f"{words}. {'. '.join(_LEGEND)}.")
    for number, (title, look, items) in enumerate(_STORED):
        box = Box(20 + number * 242, 20, 234, 368, look)
        canvas.box(box)
        canvas.text((box.middle, box.y + 30), title, "title")
        y = box.y + 64
        for mark, *lines in items:
            canvas.text((box.x + 18, y), mark, anchor="start")
            y = canvas.lines((box.x + 38, y), lines, anchor="start") + 8
    for number, words in enumerate(_LEGEND):
        canvas.text(((36, 330, 720)[number], 418), words, "small", "start")
    return canvas.svg()


_COLUMNS: Final = ("author", "delegate", "other users", "backend")
_READS, _REFUSED, _CLOSED = "reads", "refused", "closed"
_IN_CLEAR: Final = (_READS, _READS, _REFUSED, _READS)
_ENCRYPTED: Final = (_READS, _READS, _REFUSED, _CLOSED)
_HIDDEN: Final = (_READS, _CLOSED, _REFUSED, _CLOSED)
_CELLS: Final = (
    f"{_READS}: in clear, or with a key",
    f"{_REFUSED}: the backend does not hand it out",
    f"{_CLOSED}: no key opens what is stored",
)

WHO: Final = (
    (
        "“medtech”: as in 2023",
        (
            ("a patient's note", _ENCRYPTED),
            ("content of a notification", _ENCRYPTED),
            ("description of a condition", _ENCRYPTED),
            ("content of a data sample", _ENCRYPTED),
            ("an attachment, its size and hash", _ENCRYPTED),
            ("codes, labels and dates of these", _IN_CLEAR),
            ("languages, picture, relations, …", _IN_CLEAR),
            ("a patient's creation and change", _IN_CLEAR),
            ("names, addresses, date of birth", _IN_CLEAR),
            ("fields of with_encrypted_fields()", _ENCRYPTED),
            ("a professional it is shared with", _IN_CLEAR),
            ("a patient it is shared with", _IN_CLEAR),
        ),
    ),
    (
        "“cardinal”: as today",
        (
            ("a patient's note", _ENCRYPTED),
            ("content of a notification", _ENCRYPTED),
            ("description of a condition", _ENCRYPTED),
            ("content of a data sample", _ENCRYPTED),
            ("an attachment, its size and hash", _ENCRYPTED),
            ("codes, labels and dates of these", _IN_CLEAR),
            ("languages, picture, relations, …", _ENCRYPTED),
            ("a patient's creation and change", _ENCRYPTED),
            ("names, addresses, date of birth", _IN_CLEAR),
            ("fields of with_encrypted_fields()", _ENCRYPTED),
            ("a professional it is shared with", _IN_CLEAR),
            ("a patient it is shared with", _HIDDEN),
        ),
    ),
)


def who_diagram() -> str:
    """Return the picture of who can open what, in both flavours."""
    words = " ".join(
        f"{title}: {row}: " + ", ".join(map(" ".join, zip(_COLUMNS, cells, strict=True))) + "."
        for title, rows in WHO
        for row, cells in rows
    )
    canvas = Canvas(980, 908, "The readers of each part of a record", words)
    for number, (title, rows) in enumerate(WHO):
        _draw_matrix(canvas, 20 + number * 430, title, rows)
    for number, words in enumerate(_CELLS):
        canvas.text(((40, 300, 640)[number], 890), words, "small", "start")
    return canvas.svg()


_LOOKS: Final = {_READS: "done", _REFUSED: "plain", _CLOSED: "way"}


def _draw_matrix(
    canvas: Canvas, top: int, title: str, rows: Sequence[tuple[str, Sequence[str]]]
) -> None:
    canvas.text((40, top + 28), title, "title", "start")
    for number, column in enumerate(_COLUMNS):
        canvas.text((400 + number * 152, top + 28), column, "name")
    for line, (row, cells) in enumerate(rows):
        y = top + 42 + line * 31
        canvas.text((40, y + 19), row, anchor="start")
        for number, cell in enumerate(cells):
            is_seen = cell == _READS and _COLUMNS[number] == "backend"
            box = Box(336 + number * 152, y, 128, 27, "stop" if is_seen else _LOOKS[cell])
            canvas.box(box)
            canvas.text((box.middle, y + 19), cell)


_CHAIN: Final = (
    ("private key", ("RSA, on the device of the", "author, or of a delegate")),
    ("exchange key", ("AES, of these two people", "and for both of them")),
    ("entity key", ("AES, of this record,", "once for each delegate")),
    ("the record", ("its encrypted members,", "in encryptedSelf")),
)
_FORMS: Final = (
    (
        "2023",
        (
            "KeyStorage",
            "hcPartyKeys, aesExchangeKeys",
            "encryptionKeys",
            "encryptedSelf",
        ),
    ),
    (
        "today",
        (
            "KeyStorage",
            "exchange data",
            "secureDelegations",
            "encryptedSelf",
        ),
    ),
)


def chain_diagram() -> str:
    """Return the picture of the keys that lead from a person to a record."""
    words = "A private key opens an exchange key, this an entity key, and this the record."
    canvas = Canvas(1000, 246, "The chain of keys", words)
    for number, (name, lines) in enumerate(_CHAIN):
        box = Box(62 + number * 236, 24, 196, 92, "way" if number == 0 else "plain")
        canvas.box(box)
        canvas.text((box.middle, box.y + 28), name, "title")
        canvas.lines((box.middle, box.y + 54), lines, "small")
        if number < len(_CHAIN) - 1:
            canvas.arrow((box.x + 196, 70), (box.x + 234, 70))
        for line, (_, places) in enumerate(_FORMS):
            canvas.text((box.middle, 156 + line * 36), places[number], "code")
    for line, (form, _) in enumerate(_FORMS):
        canvas.rule(20, 134 + line * 36, 960)
        canvas.text((20, 156 + line * 36), form, "name", "start")
    canvas.text(
        (500, 230),
        "An arrow means: opens. All but the private key is stored at the backend, encrypted.",
        "small",
    )
    return canvas.svg()
