from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.authentication.progress import Progress, ProgressStore
from icure_async.crypto.software import SoftwareCrypto
from icure_async.rest.user_tokens import token_key_of
from icure_async.storage import MemoryStorage

REQUEST = "6f4c0a3e-8a57-4c60-9d84-0d6a63c6bd0f"
TOKEN = "0982f1a4-8a57-4c60-9d84-0d6a63c6bd0f"
NAME = f"icure.authentication.{REQUEST}"


@pytest.fixture
def store(storage: MemoryStorage) -> ProgressStore:
    return ProgressStore(storage, SoftwareCrypto())


async def test_what_was_begun_is_found_again(store: ProgressStore) -> None:
    assert await store.load(REQUEST) is None
    begun = await store.begin(REQUEST, "123456", None)
    assert await store.load(REQUEST) == begun
    assert begun.is_for("123456")
    assert not begun.is_for("123457")
    assert not begun.proven
    assert await store.load(REQUEST[::-1]) is None


async def test_neither_the_code_nor_its_bare_hash_is_written_down(
    store: ProgressStore, storage: MemoryStorage
) -> None:
    one = await store.begin(REQUEST, "123456", None)
    text = await storage.get_item(NAME)
    assert text is not None
    assert "123456" not in text.replace(one.token, "").replace(one.token_key, "")
    two = await store.begin("another", "123456", None)
    assert not set(one.proofs) & set(two.proofs)
    assert one.token != two.token
    assert one.token not in repr(one)
    assert one.proofs[0] not in repr(one)


async def test_the_key_of_a_token_is_derived_from_it_and_does_not_show_it(
    store: ProgressStore,
) -> None:
    begun = await store.begin(REQUEST, "123456", None)
    assert begun.token_key == token_key_of(begun.token)
    assert not set(begun.token.split("-")) & set(begun.token_key.split("-"))


async def test_one_process_has_one_token(store: ProgressStore) -> None:
    one = await store.begin(REQUEST, "123456", None)
    two = await store.begin(REQUEST, "654321", one)
    assert (two.token, two.token_key) == (one.token, one.token_key)
    assert two.is_for("123456")
    assert two.is_for("654321")
    proven = await store.code_proven(REQUEST, two, "654321", expires_at=7)
    assert proven.expires_at == 7
    assert proven == await store.load(REQUEST)
    assert proven.proven
    assert proven.is_for("654321")
    assert not proven.is_for("123456")
    assert proven.token == one.token


async def test_a_refused_code_leaves_the_others(
    store: ProgressStore, storage: MemoryStorage
) -> None:
    one = await store.begin(REQUEST, "123456", None)
    two = await store.begin(REQUEST, "654321", one)
    await store.code_refused(REQUEST, two, "654321")
    assert await store.load(REQUEST) == one
    await store.code_refused(REQUEST, one, "123456")
    assert await storage.list_items() == []


async def test_a_successor_goes_on_with_the_token_that_may_exist(
    store: ProgressStore, storage: MemoryStorage
) -> None:
    one = await store.begin(REQUEST, "123456", None)
    one = await store.code_proven(REQUEST, one, "123456", expires_at=7)
    await store.hand_over(REQUEST, "successor")
    assert await storage.list_items() == ["icure.authentication.successor"]
    handed_over = await store.load("successor")
    assert handed_over is not None
    assert (handed_over.token, handed_over.token_key) == (one.token, one.token_key)
    assert handed_over.expires_at == 7
    assert not handed_over.proven
    assert not handed_over.is_for("123456")
    # A mistyped code of the successor is no reason to forget the token.
    two = await store.begin("successor", "654321", handed_over)
    assert two.token == one.token
    await store.code_refused("successor", two, "654321")
    assert await store.load("successor") == handed_over
    # Nor is another successor.
    await store.hand_over("successor", "the next")
    assert await store.load("the next") == handed_over
    assert await storage.list_items() == ["icure.authentication.the next"]


async def test_no_successor_where_no_token_can_exist(
    store: ProgressStore, storage: MemoryStorage
) -> None:
    await store.hand_over(REQUEST, "successor")
    await store.begin(REQUEST, "123456", None)
    await store.hand_over(REQUEST, "successor")
    assert await storage.list_items() == []


async def test_guessing_has_an_end(store: ProgressStore, storage: MemoryStorage) -> None:
    progress: Progress | None = await store.code_proven(
        REQUEST, await store.begin(REQUEST, "123456", None), "123456", expires_at=7
    )
    for wrong_codes in range(1, 5):
        assert progress is not None
        assert await store.wrong_code(REQUEST, progress)
        progress = await store.load(REQUEST)
        assert progress is not None
        assert progress.wrong_codes == wrong_codes
        assert progress.is_for("123456")
    assert progress is not None
    assert not await store.wrong_code(REQUEST, progress)
    assert await storage.list_items() == []


GOOD = {
    "version": 1,
    "token_key": "key",
    "token": TOKEN,
    "proofs": ["00"],
    "proven": True,
    "wrong_codes": 0,
}


async def test_the_form_in_the_storage(store: ProgressStore, storage: MemoryStorage) -> None:
    await storage.set_item(NAME, json.dumps(GOOD))
    progress = Progress(token_key="key", token=TOKEN, proofs=("00",), proven=True, expires_at=0)
    assert await store.load(REQUEST) == progress
    # As this version writes it.
    await storage.set_item(NAME, json.dumps(GOOD | {"expires_at": 7}))
    assert await store.load(REQUEST) == attrs.evolve(progress, expires_at=7)


@pytest.mark.parametrize(
    ("written", "expires_at"),
    [
        ({"proven": False, "inherited": True}, 0),
        ({"proven": False, "inherited": True, "expires_at": 7}, 7),
        ({"proven": False, "inherited": False}, None),
        ({"proven": False, "inherited": False, "expires_at": None}, None),
    ],
)
async def test_a_token_that_an_earlier_version_may_have_made_is_kept(
    written: dict[str, Any],
    expires_at: int | None,
    store: ProgressStore,
    storage: MemoryStorage,
) -> None:
    await storage.set_item(NAME, json.dumps(GOOD | written))
    progress = await store.load(REQUEST)
    assert progress is not None
    assert progress.expires_at == expires_at
    assert not progress.proven
    await store.hand_over(REQUEST, "successor")
    successor = await store.load("successor")
    assert (successor is None) == (expires_at is None)
    if successor is not None:
        assert (successor.token, successor.proofs) == (TOKEN, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": None},
        {"token": None},
        {"token": "tökèn" * 8},
        # Earlier versions kept this of an answer that was cut off.
        {"token": "0982"},
        {"token_key": 7},
        {"proofs": "00"},
        {"proofs": [7]},
        {"proofs": ["é"]},
        {"proven": 1},
        {"wrong_codes": "0"},
    ],
)
async def test_what_is_unreadable_counts_as_nothing(
    changes: dict[str, Any], store: ProgressStore, storage: MemoryStorage
) -> None:
    await storage.set_item(NAME, json.dumps(GOOD | changes))
    assert await store.load(REQUEST) is None


@pytest.mark.parametrize("name", GOOD)
async def test_a_missing_member_counts_as_nothing(
    name: str, store: ProgressStore, storage: MemoryStorage
) -> None:
    await storage.set_item(NAME, json.dumps({key: GOOD[key] for key in GOOD if key != name}))
    assert await store.load(REQUEST) is None


@pytest.mark.parametrize("text", ["", "{", "null", "[1]", "[" * 100_000])
async def test_garbage_counts_as_nothing(
    text: str, store: ProgressStore, storage: MemoryStorage
) -> None:
    await storage.set_item(NAME, text)
    assert await store.load(REQUEST) is None


@given(st.text(alphabet="0123456789", min_size=4), st.text(alphabet="0123456789", min_size=4))
def test_progress_is_for_its_own_code_only(code: str, other: str) -> None:
    from icure_async.authentication.progress import _proof

    progress = Progress(token_key="key", token="token", proofs=(_proof("token", code),))
    assert progress.is_for(other) == (code == other)
    assert not attrs.evolve(progress, token="another").is_for(code)
