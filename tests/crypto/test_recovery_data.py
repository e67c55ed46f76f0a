"""Recovery data of today's clients, and ours (today.md §10)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icure_async.crypto.encoding import decode_base64, encode_base64
from icure_async.crypto.recovery_data import (
    RecoverableKeyPair,
    open_key_pairs,
    recovery_id,
    seal_key_pairs,
)
from icure_async.models.key_pair import KeyPair
from tests.support.cardinal_world import CARDINAL
from tests.support.golden_people import CRYPTO, HCP, NED

KEY = bytes.fromhex(CARDINAL["meta"]["recoveryKey"]["hex"])
(GOLDEN,) = CARDINAL["stages"]["k4-recovery"]["entities"]["recoverydata"].values()
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


async def test_the_golden_recovery_data_is_opened() -> None:
    (pair,) = CARDINAL["users"]["k-doc1"]["keyPairs"]
    assert recovery_id(KEY) == GOLDEN["id"]
    assert await open_key_pairs(CRYPTO, KEY, GOLDEN["encryptedSelf"], GOLDEN["recipient"]) == [
        KeyPair(pair["publicKey"], pair["privateKey"])
    ]


async def test_what_we_write_has_the_form_of_todays_clients() -> None:
    pairs = [RecoverableKeyPair(HCP, "sha-1"), RecoverableKeyPair(NED, "sha-256")]
    sealed = await seal_key_pairs(CRYPTO, KEY, "me", pairs)
    assert await open_key_pairs(CRYPTO, KEY, sealed, "me") == [HCP, NED]
    assert await open_key_pairs(CRYPTO, KEY, sealed, "you") == []
    written, golden = [
        json.loads(await CRYPTO.aes_decrypt(KEY, decode_base64(text)))
        for text in (sealed, GOLDEN["encryptedSelf"])
    ]
    assert [entry["algorithm"] for entry in written["me"]] == ["sha-1", "sha-256"]
    (theirs,) = golden[GOLDEN["recipient"]]
    assert written["me"][0].keys() == theirs.keys()
    assert written["me"][0]["pair"].keys() == theirs["pair"].keys()
    assert repr(pairs[0]) == "RecoverableKeyPair()"


@pytest.mark.parametrize("text", ["", "no base64 ✓", "AAAA", encode_base64(bytes(64))])
async def test_what_the_key_does_not_open_is_told_from_nothing(text: str) -> None:
    assert await open_key_pairs(CRYPTO, KEY, text, "me") is None


@settings(deadline=None)
@given(content=ANY_JSON)
async def test_no_form_of_the_content_is_an_error(content: Any) -> None:
    half = encode_base64(b"half")
    for inner in (content, {"me": content}, {"me": [content]}, {"me": [{"pair": content}]}):
        sealed = encode_base64(await CRYPTO.aes_encrypt(KEY, json.dumps(inner).encode()))
        found = await open_key_pairs(CRYPTO, KEY, sealed, "me")
        assert found == ([] if isinstance(inner, dict) else None)
    malformed = {"me": [{"pair": {"publicKey": half, "privateKey": content}}]}
    sealed = encode_base64(await CRYPTO.aes_encrypt(KEY, json.dumps(malformed).encode()))
    for pair in await open_key_pairs(CRYPTO, KEY, sealed, "me") or []:
        assert isinstance(content, str)
        assert pair.private_key
