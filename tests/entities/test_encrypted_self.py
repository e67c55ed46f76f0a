"""``encryptedSelf``: JavaScript's JSON, and what was encrypted staying so."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.crypto.encoding import encode_base64
from icure_async.crypto.software import aes_cbc_encrypt
from icure_async.entities.encrypted_self import (
    decrypt_members,
    encrypt_members,
    encrypted_parts,
    javascript_json,
)
from tests.support.golden_people import CRYPTO

KEY = bytes(range(16))
OTHER_KEY = bytes(range(1, 17))


def sealed(plaintext: str | bytes, key: bytes = KEY) -> str:
    data = plaintext if isinstance(plaintext, bytes) else plaintext.encode()
    return encode_base64(aes_cbc_encrypt(key, bytes(16), data))


async def open_text(plaintext: str | bytes) -> dict[str, Any]:
    opened = await decrypt_members(CRYPTO, KEY, {"encryptedSelf": sealed(plaintext)})
    del opened["encryptedSelf"]
    return opened


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Zoë ✓ 🩺", '"Zoë ✓ 🩺"'),
        ('" \\ /', r'"\" \\ /"'),
        ("\b\f\n\r\t", r'"\b\f\n\r\t"'),
        ("\x00\x0b\x1f\x7f\x9f", '"\\u0000\\u000b\\u001f\x7f\x9f"'),
        ("\u2028\u2029\ufeff\uffff", '"\u2028\u2029\ufeff\uffff"'),
        ("\ud800", r'"\ud800"'),
        ("\udfff a \ud83d", r'"\udfff a \ud83d"'),
        ("\ud83e\ude7a", '"🩺"'),
        ("🩺\ud83e", '"🩺\\ud83e"'),
        ([], "[]"),
        ({}, "{}"),
        ([None, True, False, 0, -1, 10**20], "[null,true,false,0,-1,100000000000000000000]"),
        ({"b": {"ë": [1]}, "a": ""}, '{"b":{"ë":[1]},"a":""}'),
        (1.0, "1"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (-1.5, "-1.5"),
        (120.0, "120"),
        (123.456, "123.456"),
        (1e20, "100000000000000000000"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (0.0001, "0.0001"),
        (0.00001, "0.00001"),
        (0.0000012, "0.0000012"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-1.25e-7, "-1.25e-7"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
    ],
    ids=repr,
)
def test_json_is_spelled_as_javascript_spells_it(value: Any, text: str) -> None:
    assert javascript_json({"k": value}) == b'{"k":' + text.encode() + b"}"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_value(value: float) -> None:
    assert float(json.loads(javascript_json({"k": value}))["k"]) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_has_no_number_for_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        javascript_json({"k": [value]})


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def test_reasonable_nesting_is_written_and_absurd_nesting_is_a_value_error() -> None:
    assert javascript_json({"k": nested(100)}).count(b"[") == 100
    with pytest.raises(ValueError, match="deep"):
        javascript_json({"k": nested(100_000)})


@pytest.mark.parametrize(
    ("plaintext", "members"),
    [
        ('{"note":"x"}', {"note": "x"}),
        (' {"note" : "x"}\n', {"note": "x"}),
        ('\ufeff{"note":"x"}', {"note": "x"}),
        ('{"note":"\ufeffx\\u0000"}', {"note": "\ufeffx\0"}),
        ('{"note":"x"}\0\0\0', {"note": "x"}),
        (r'{"note":"\ud83e\ude7a \ud83e"}', {"note": "🩺 \ud83e"}),
        ("{}", {}),
        ('{"note":null}', {"note": None}),
        ('{"a":1,"a":2}', {"a": 2}),
        ('{"encryptedSelf":"x","b":1}', {"b": 1}),
    ],
)
async def test_what_sdks_have_written_is_read(plaintext: str, members: dict[str, Any]) -> None:
    assert await open_text(plaintext) == members


@pytest.mark.parametrize(
    "plaintext",
    [
        "",
        "null",
        "[]",
        '"x"',
        "1",
        "{",
        '{"note":"x"}}',
        "{'note':1}",
        '{"note":NaN}',
        '{"note":-Infinity}',
        b'{"note":"\xff"}',
        b'{"note":"\xed\xa0\x80"}',
        '{"note":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
async def test_what_is_no_json_object_is_not_believed(plaintext: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        await open_text(plaintext)


@pytest.mark.parametrize("garbage", [5, True, ["x"], {"a": "b"}, "é", "x", "AAAA", "oKGi" * 9])
async def test_an_encrypted_self_that_cannot_be_read_is_neither_opened_nor_replaced(
    garbage: Any,
) -> None:
    document = {"id": "i", "note": "x", "encryptedSelf": garbage}
    assert encrypted_parts(document)
    with pytest.raises(ValueError, match=r"."):
        await decrypt_members(CRYPTO, KEY, document)
    with pytest.raises(ValueError, match=r"."):
        await encrypt_members(CRYPTO, KEY, document, ["note"])


@pytest.mark.parametrize("nothing", [None, "", False])
async def test_an_encrypted_self_that_holds_nothing_is_none(nothing: Any) -> None:
    document = {"id": "i", "encryptedSelf": nothing}
    assert not encrypted_parts(document)
    assert await decrypt_members(CRYPTO, KEY, document) == document


async def test_wrong_keys_are_noticed_even_where_the_padding_is_right_by_luck() -> None:
    chance = random.Random(7)
    document = {"encryptedSelf": sealed('{"note":"x"}')}
    lucky = 0
    for _ in range(3000):
        wrong = chance.randbytes(chance.choice([16, 32]))
        try:
            await CRYPTO.aes_decrypt(wrong, bytes(16) + chance.randbytes(32))
            lucky += 1
        except ValueError:
            pass
        with pytest.raises(ValueError, match=r"."):
            await decrypt_members(CRYPTO, wrong, document)
    assert lucky > 0


async def test_a_flipped_bit_is_not_believed() -> None:
    ciphertext = aes_cbc_encrypt(KEY, bytes(16), b'{"note":"' + b"x" * 40 + b'"}')
    for block in (1, 2, 3):
        damaged = bytearray(ciphertext)
        damaged[block * 16 + 3] ^= 0x40
        with pytest.raises(ValueError, match=r"."):
            await decrypt_members(CRYPTO, KEY, {"encryptedSelf": encode_base64(bytes(damaged))})


async def test_what_encrypted_parts_wins_over_what_is_in_clear() -> None:
    document = {"note": "clear", "encryptedSelf": sealed('{"note":"encrypted"}')}
    assert (await decrypt_members(CRYPTO, KEY, document))["note"] == "encrypted"


async def test_nobody_becomes_another_entity_by_what_encrypted_parts() -> None:
    """The next reader to save would otherwise save over an entity of the writer's choice."""
    hidden = {"id": "other", "rev": "9", "encryptionKeys": {}, "delegations": {}, "note": "x"}
    document = {
        "id": "mine",
        "rev": "1",
        "delegations": {"me": [{}]},
        "encryptedSelf": sealed(json.dumps(hidden)),
    }
    opened = await decrypt_members(CRYPTO, KEY, document)
    assert opened == document | {"note": "x"}
    again = await encrypt_members(CRYPTO, KEY, opened, ["note"])
    assert again == document | {"encryptedSelf": again["encryptedSelf"]}


async def test_objects_are_opened_at_any_depth_and_closed_again() -> None:
    document: dict[str, Any] = {
        "id": "i",
        "note": "top",
        "services": [
            {"id": "s1", "encryptedSelf": sealed('{"content":"SECRET-1"}')},
            "not an object",
            {"id": "s2", "parts": [{"encryptedSelf": sealed('{"content":"SECRET-2"}'), "k": 1}]},
            {
                "id": "s3",
                "encryptedSelf": sealed('{"content":"SECRET-3","id":"SECRET-4"}'),
                "parts": [{"encryptedSelf": sealed('{"content":"SECRET-5"}')}, [1], {"clear": 1}],
            },
        ],
        "clear": [{"a": [{"b": 1}]}],
        "inner": {"encryptedSelf": sealed('{"content":"SECRET-6"}'), "deeper": {"k": [{"l": 2}]}},
        "settings": {"deeper": {"encryptedSelf": sealed('{"content":"SECRET-7"}')}},
    }
    assert encrypted_parts(document)
    opened = await decrypt_members(CRYPTO, KEY, document)
    text = json.dumps(opened)
    assert all(f"SECRET-{number}" in text for number in range(1, 8))
    again = await encrypt_members(CRYPTO, KEY, opened, ["note"])
    assert "SECRET" not in json.dumps(again)
    assert "top" not in json.dumps(again)
    assert again["clear"] == document["clear"]
    # None of it has changed.
    assert all(again[name] == document[name] for name in ("inner", "settings"))
    assert again["services"][:3] == document["services"][:3]
    reopened = await decrypt_members(CRYPTO, KEY, again)

    def without_ciphertext(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: without_ciphertext(inner)
                for name, inner in value.items()
                if name != "encryptedSelf"
            }
        return [without_ciphertext(inner) for inner in value] if isinstance(value, list) else value

    assert without_ciphertext(reopened) == without_ciphertext(opened)


async def test_an_element_of_another_entity_is_not_opened() -> None:
    document = {
        "encryptedSelf": sealed("{}"),
        "services": [{"encryptedSelf": sealed('{"content":1}', OTHER_KEY)}],
    }
    with pytest.raises(ValueError, match=r"."):
        await decrypt_members(CRYPTO, KEY, document)
    with pytest.raises(ValueError, match=r"."):
        await encrypt_members(CRYPTO, KEY, document, [])


async def test_absurd_nesting_is_a_value_error_and_only_where_it_encrypted_parts() -> None:
    deep: dict[str, Any] = {"encryptedSelf": sealed("{}")}
    clear: dict[str, Any] = {}
    for _ in range(3000):
        deep, clear = {"l": [deep]}, {"l": [clear]}
    assert encrypted_parts(deep)
    assert not encrypted_parts(clear)
    assert "l" in await decrypt_members(CRYPTO, KEY, clear)
    assert "l" in await encrypt_members(CRYPTO, KEY, clear, [])
    with pytest.raises(ValueError, match="deep"):
        await decrypt_members(CRYPTO, KEY, deep)
    with pytest.raises(ValueError, match="deep"):
        await encrypt_members(CRYPTO, KEY, deep, [])


async def test_a_removed_member_is_gone_and_an_unknown_one_stays_encrypted() -> None:
    document = {"id": "i", "encryptedSelf": sealed('{"note":"n","future":["SECRET"],"z":1}')}
    opened = await decrypt_members(CRYPTO, KEY, document)
    del opened["note"]
    again = await encrypt_members(CRYPTO, KEY, opened, ["note"])
    assert again.keys() == {"id", "encryptedSelf"}
    assert await decrypt_members(CRYPTO, KEY, again) == {**again, "future": ["SECRET"], "z": 1}


PARTS: dict[str, tuple[str, ...] | None] = {
    "notes": ("markdown",),
    "insurabilities": None,
    "services": ("content",),
    "services.notes": ("markdown",),
}


def contact() -> dict[str, Any]:
    return {
        "id": "i",
        "note": "SECRET-1",
        "notes": [{"id": "n", "markdown": {"en": "SECRET-2"}}, {"id": "m"}, None, "SECRET?"],
        "insurabilities": [{"insuranceId": "SECRET-3", "parameters": {"k": ["SECRET-4"]}}, {}],
        "services": [
            {
                "id": "s",
                "content": {"en": {"stringValue": "SECRET-5"}},
                "notes": [{"markdown": "SECRET-6", "author": "a"}],
            }
        ],
    }


async def test_members_in_elements_of_lists_are_encrypted() -> None:
    sealed_once = await encrypt_members(CRYPTO, KEY, contact(), ["note"], PARTS)
    assert "SECRET-" not in json.dumps(sealed_once)
    assert sealed_once["notes"][0].keys() == {"id", "encryptedSelf"}
    assert sealed_once["notes"][1:] == [{"id": "m"}, None, "SECRET?"]
    assert sealed_once["insurabilities"][0].keys() == {"encryptedSelf"}
    assert sealed_once["insurabilities"][1] == {}
    (service,) = sealed_once["services"]
    assert service.keys() == {"id", "encryptedSelf", "notes"}
    assert service["notes"][0].keys() == {"author", "encryptedSelf"}
    opened = await decrypt_members(CRYPTO, KEY, sealed_once)
    assert [opened["notes"][0]["markdown"], opened["insurabilities"][0]["insuranceId"]] == [
        {"en": "SECRET-2"},
        "SECRET-3",
    ]
    # An SDK that does not know these members keeps them encrypted, byte for byte.
    assert await encrypt_members(CRYPTO, KEY, opened, []) == sealed_once
    assert await encrypt_members(CRYPTO, KEY, opened, ["note"], PARTS) == sealed_once


async def test_only_what_has_changed_is_encrypted_anew() -> None:
    sealed_once = await encrypt_members(CRYPTO, KEY, contact(), ["note"], PARTS)
    opened = await decrypt_members(CRYPTO, KEY, sealed_once)
    opened["insurabilities"][0]["insuranceId"] = "SECRET-7"
    for inside in ({}, PARTS):
        again = await encrypt_members(CRYPTO, KEY, opened, ["note"], inside)
        assert {**again, "insurabilities": sealed_once["insurabilities"]} == sealed_once
        assert again["insurabilities"] != sealed_once["insurabilities"]
        assert "SECRET-" not in json.dumps(again)
        reopened = await decrypt_members(CRYPTO, KEY, again)
        assert reopened["insurabilities"][0]["insuranceId"] == "SECRET-7"


@pytest.mark.parametrize(
    ("before", "after"), [(1, True), (0, False), ("1", 1), (None, ""), ([1], [1, 2]), ([], {})]
)
async def test_a_value_of_another_type_is_another_value(before: Any, after: Any) -> None:
    document = {"encryptedSelf": sealed(json.dumps({"k": before}))}
    again = await encrypt_members(CRYPTO, KEY, {**document, "k": after}, [])
    assert again != document
    assert (await decrypt_members(CRYPTO, KEY, again))["k"] == after


async def test_a_list_that_is_encrypted_as_a_whole_has_one_layer_only() -> None:
    sealed_once = await encrypt_members(CRYPTO, KEY, contact(), [], PARTS)
    opened = await decrypt_members(CRYPTO, KEY, sealed_once)
    again = await encrypt_members(CRYPTO, KEY, opened, ["notes", "services"], PARTS)
    assert again.keys() == {"id", "note", "insurabilities", "encryptedSelf"}
    reopened = await decrypt_members(CRYPTO, KEY, again)
    assert "encryptedSelf" not in json.dumps([reopened["notes"], reopened["services"]])
    assert reopened["services"] == contact()["services"]
