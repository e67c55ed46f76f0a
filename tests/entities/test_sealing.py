"""Entities sealed and opened: every key that may open one does, and nothing else."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icure_async.crypto.encoding import encode_base64
from icure_async.crypto.key_ring import KeyRing
from icure_async.crypto.software import aes_cbc_encrypt
from icure_async.entities.delegations import decrypt_entry, encrypt_entry, entries_for, has_keys
from icure_async.entities.encrypted_self import decrypt_members, javascript_json
from icure_async.entities.sealing import OpenedEntity
from icure_async.errors import CryptoError
from tests.support.golden import WORLD
from tests.support.golden_people import (
    ARYA,
    CRYPTO,
    HCP,
    NED,
    NED_LOST,
    DictDirectory,
    Reader,
    owner,
    owners_at,
    reader,
    ring_of,
    share,
)

METADATA = {"delegations", "encryptionKeys", "cryptedForeignKeys", "encryptedSelf"}
NAMES = ("me", "you", "they")
PAIRS = dict(zip(NAMES, (NED, HCP, ARYA), strict=True))

# Surrogates in the wrong order only: two in the right one are one character after the journey.
texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20).map(
    lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)
contents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(
    texts.filter(lambda name: name not in METADATA | {"id", "rev", "secretForeignKeys"}),
    contents,
    max_size=5,
)


async def household() -> tuple[dict[str, dict[str, Any]], dict[str, bytes]]:
    """Three data owners, and the exchange keys of the first to all of them."""
    owners = {name: owner(name, pair) for name, pair in PAIRS.items()}
    keys: dict[str, bytes] = {}
    for name in NAMES:
        owners["me"], keys[name] = await share(owners["me"], owners[name])
    return owners, keys


async def patient(
    content: dict[str, Any], secret: str, exchange_key: bytes, **members: Any
) -> dict[str, Any]:
    """A patient as a past version may have written it: one entry from me to me."""
    entry = await entry_of(secret, exchange_key)
    key = bytes.fromhex(secret.replace("-", ""))
    return {
        "id": "p",
        "encryptionKeys": {"me": [entry]},
        "encryptedSelf": encode_base64(
            aes_cbc_encrypt(key, os.urandom(16), javascript_json(content))
        ),
    } | members


async def entry_of(
    secret: str, exchange_key: bytes, owner_id: str = "me", delegate_id: str = "me", **members: Any
) -> dict[str, Any]:
    entry = await encrypt_entry(
        CRYPTO,
        exchange_key,
        owner_id=owner_id,
        delegate_id=delegate_id,
        entity_id="p",
        secret=secret,
    )
    return {**entry, **members}


UUID = "6f1ed002-ab55-4b2e-9b3a-2f0a1c4d5e6f"
SECRET_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@settings(max_examples=40, deadline=None)
@given(content=objects, hidden=st.data(), delegates=st.sets(st.sampled_from(NAMES[1:])))
async def test_what_is_sealed_opens_for_exactly_those_it_is_for(
    content: dict[str, Any], hidden: st.DataObject, delegates: set[str]
) -> None:
    members = hidden.draw(st.sets(st.sampled_from([*content, "note"])))
    owners, keys = await household()
    me = await reader("me", owners, NED)
    document = {"id": "p", **content}
    before = copy.deepcopy(document)
    sealed = await me.keys.seal_new(
        document, members, {name: keys[name] for name in ("me", *sorted(delegates))}
    )
    assert document == before
    assert not members & sealed.keys()
    for name in NAMES:
        opened = await (await reader(name, owners, PAIRS[name])).open(sealed)
        if name == "me" or name in delegates:
            assert opened is not None
            clear = {k: v for k, v in opened.document.items() if k not in METADATA}
            assert clear == document
            assert opened.key is not None
        else:
            assert opened is None


@settings(max_examples=40, deadline=None)
@given(content=objects, changes=objects)
async def test_what_was_encrypted_stays_so_when_it_is_saved_again(
    content: dict[str, Any], changes: dict[str, Any]
) -> None:
    owners, keys = await household()
    me = await reader("me", owners, NED)
    secret = {f"x{name}": [value, "SECRET"] for name, value in content.items()} | {"y": "SECRET"}
    element = {"id": "e", "encryptedSelf": "", "k": 1}
    stored = await patient(secret, UUID, keys["me"], elements=[{**element, "parts": [element]}])
    key = bytes.fromhex(UUID.replace("-", ""))
    inner = encode_base64(aes_cbc_encrypt(key, bytes(16), javascript_json({"inner": "SECRET"})))
    stored["elements"][0]["encryptedSelf"] = inner
    stored["elements"][0]["parts"] = [element | {"encryptedSelf": inner}]
    opened = await me.open(stored)
    assert opened is not None
    assert opened.key == key
    changed = opened.document | {f"c{name}": value for name, value in changes.items()}
    before = copy.deepcopy(changed)
    sealed = await me.seal_again(changed, ["note"], key)
    assert changed == before
    assert "SECRET" not in json.dumps(sealed)
    assert not secret.keys() & sealed.keys()
    again = await me.open(sealed)
    assert again is not None
    assert {k: v for k, v in again.document.items() if k not in {*METADATA, "elements"}} == {
        k: v for k, v in changed.items() if k not in {*METADATA, "elements"}
    }
    assert again.document["elements"][0]["inner"] == "SECRET"
    assert again.document["elements"][0]["parts"][0]["inner"] == "SECRET"


garbage = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["me", "aa"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["me", "you", "owner", "key", "encryptedSelf", "delegatedTo", ""]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
entries = st.fixed_dictionaries(
    {
        "owner": st.sampled_from(["me", "you", "nobody", 5]),
        "key": st.sampled_from(["", "zz", "a", "00" * 96, "FF" * 48, "\ud800", 7]) | garbage,
    }
)
entry_maps = st.dictionaries(st.sampled_from(NAMES), st.lists(entries, max_size=3)) | garbage
documents = st.fixed_dictionaries(
    {},
    optional={
        "id": garbage,
        "encryptedSelf": st.sampled_from(["", "AAAA", "A", encode_base64(bytes(48))]) | garbage,
        "delegations": entry_maps,
        "encryptionKeys": entry_maps,
        "elements": st.lists(garbage, max_size=3),
    },
)


@settings(max_examples=150, deadline=None)
@given(document=documents, own=documents)
async def test_garbage_is_never_opened_and_never_an_accident(
    document: dict[str, Any], own: dict[str, Any]
) -> None:
    owners = {name: owner(name, pair) for name, pair in PAIRS.items()}
    owners["me"] |= {
        "aesExchangeKeys": {NED.public_key: own.get("delegations")},
        "hcPartyKeys": own.get("encryptionKeys"),
    }
    before = json.dumps(document)
    directory = DictDirectory("me", {"me": owners["me"]})
    entities = Reader(await ring_of(NED), directory)
    opened = await entities.open(document)
    assert json.dumps(document) == before
    if document.get("encryptedSelf"):
        assert opened is None
    if opened is not None:
        assert opened.document == document
        assert opened.key is None


@settings(max_examples=25, deadline=None)
@given(content=objects)
async def test_other_keys_open_nothing(content: dict[str, Any]) -> None:
    owners, keys = await household()
    sealed = await (await reader("me", owners, NED)).keys.seal_new(
        {"id": "p", **content}, list(content), keys
    )
    for name in NAMES:
        # The right data owner with the key pair of somebody else, or with none.
        assert await (await reader(name, owners, NED_LOST)).open(sealed) is None
        assert await (await reader(name, owners)).open(sealed) is None
    others, _ = await household()
    assert await (await reader("me", others, NED)).open(sealed) is None


async def test_a_new_entity_keeps_nothing_of_the_one_it_was_copied_from() -> None:
    owners, keys = await household()
    me = await reader("me", owners, NED)
    copied = await me.keys.seal_new({"id": "a", "note": "x"}, ["note"], keys)
    copied |= {"secretForeignKeys": ["old"], "cryptedForeignKeys": {"me": []}}
    sealed = await me.keys.seal_new(
        {**copied, "id": "b", "note": "y"}, ["note"], {"me": keys["me"]}
    )
    assert sealed.keys() == {"id", *METADATA}
    assert list(sealed["encryptionKeys"]) == list(sealed["delegations"]) == ["me"]
    assert sealed["encryptionKeys"]["me"] != copied["encryptionKeys"]["me"]
    secrets = {
        await decrypt_entry(CRYPTO, keys["me"], sealed[name]["me"][0])
        for name in ("delegations", "encryptionKeys")
    }
    assert len(secrets) == 2


async def test_a_list_element_of_another_entity_is_not_copied() -> None:
    owners, keys = await household()
    me = await reader("me", owners, NED)
    inner = await me.keys.seal_new({"id": "a", "note": "x"}, ["note"], keys)
    element = {"encryptedSelf": inner["encryptedSelf"]}
    with pytest.raises(ValueError, match=r"."):
        await me.keys.seal_new({"id": "b", "elements": [element]}, ["note"], keys)


async def test_an_entity_its_writer_could_not_read_is_not_made() -> None:
    owners, keys = await household()
    me = await reader("me", owners, NED)
    with pytest.raises(CryptoError, match="itself"):
        await me.keys.seal_new({"id": "p", "note": "x"}, ["note"], {"you": keys["you"]})
    # "a:b:secret" would be read as the secret "b", by the reference too.
    with pytest.raises(CryptoError, match="colon"):
        await me.keys.seal_new({"id": "a:b", "note": "x"}, ["note"], keys)


async def test_ids_beyond_ascii_are_no_obstacle() -> None:
    owners, keys = await household()
    me = await reader("me", owners, NED)
    for entity_id in ("é", "李", "\ud800", "ĺ"):
        sealed = await me.keys.seal_new({"id": entity_id, "note": "x"}, ["note"], keys)
        opened = await me.open(sealed)
        assert opened is not None
        assert opened.document["note"] == "x"


async def test_sealing_with_another_key_is_refused() -> None:
    owners, keys = await household()
    me = await reader("me", owners, NED)
    sealed = await me.keys.seal_new({"id": "p", "note": "x"}, ["note"], keys)
    with pytest.raises(ValueError, match=r"."):
        await me.seal_again(sealed | {"note": "y"}, ["note"], bytes(16))


async def test_what_was_never_encrypted_is_in_clear_and_gets_a_key() -> None:
    owners, keys = await household()
    me = await reader("me", owners, NED)
    delegations = {"you": [{"owner": "you", "key": "00", "delegatedTo": "you"}]}
    document = {"id": "p", "note": "x", "delegations": delegations, "encryptionKeys": {"me": []}}
    opened = await me.open(document)
    assert opened == OpenedEntity(document, None)
    assert not has_keys(document)
    sealed = await me.keys.seal_with_first_key(document, ["note"], keys)
    assert sealed["delegations"] == delegations
    assert "note" not in sealed
    for name in NAMES:
        again = await (await reader(name, owners, PAIRS[name])).open(sealed)
        assert again is not None
        assert again.document["note"] == "x"


@pytest.mark.parametrize(
    "members",
    [
        {"encryptionKeys": {"you": [{"owner": "you", "key": "00"}]}},
        {"encryptedSelf": "AAAA"},
        {"elements": [{"encryptedSelf": "AAAA"}]},
    ],
)
async def test_a_second_key_is_never_added(members: dict[str, Any]) -> None:
    owners, keys = await household()
    with pytest.raises(ValueError, match="already"):
        await (await reader("me", owners, NED)).keys.seal_with_first_key(
            {"id": "p"} | members, ["note"], keys
        )


async def test_a_secret_id_is_added_to_what_others_gave() -> None:
    owners, keys = await household()
    me = await reader("me", owners, NED)
    theirs = {"owner": "you", "delegatedTo": "me", "key": "00"}
    for present, kept in (
        ({"you": [theirs], "me": [theirs]}, [theirs]),
        ({"me": "odd"}, []),
        (None, []),
        (["odd"], []),
    ):
        changed = await me.keys.add_secret_id(
            {"id": "me", "delegations": present, "k": 1}, "me", keys["me"]
        )
        assert changed["k"] == 1
        *before, added = changed["delegations"]["me"]
        assert before == kept
        assert len(await decrypt_entry(CRYPTO, keys["me"], added) or "") == 36
        if isinstance(present, dict) and "you" in present:
            assert changed["delegations"]["you"] == [theirs]


async def test_an_unencrypted_entity_with_keys_is_opened_with_its_key() -> None:
    owners, keys = await household()
    me = await reader("me", owners, NED)
    document = {"id": "p", "encryptionKeys": {"me": [await entry_of(UUID, keys["me"])]}}
    opened = await me.open(document)
    assert opened == OpenedEntity(document, bytes.fromhex(UUID.replace("-", "")))
    assert await (await reader("you", owners, HCP)).open(document) == OpenedEntity(document, None)


async def test_an_entity_with_encrypted_elements_only_is_not_in_clear() -> None:
    owners, keys = await household()
    document = await patient({"street": "SECRET"}, UUID, keys["me"])
    element = {"encryptedSelf": document.pop("encryptedSelf")}
    document["addresses"] = [element]
    opened = await (await reader("me", owners, NED)).open(document)
    assert opened is not None
    assert opened.document["addresses"] == [element | {"street": "SECRET"}]
    assert await (await reader("you", owners, HCP)).open(document) is None


class Stale(DictDirectory):
    """Knows no exchange keys until it is refreshed."""

    async def exchange_keys_towards(self, delegate_id: str, delegator_ids: Any) -> Any:
        if not self.refreshed:
            return {}
        return await super().exchange_keys_towards(delegate_id, delegator_ids)


async def test_stale_keys_are_refreshed_once_for_all() -> None:
    owners, keys = await household()
    me = await reader("me", owners, NED)
    sealed = [
        await me.keys.seal_new({"id": f"p{index}", "note": "x"}, ["note"], keys)
        for index in range(3)
    ]
    unencrypted = {name: value for name, value in sealed[0].items() if name != "encryptedSelf"}
    unreadable = await patient({}, UUID, bytes(32))
    directory = Stale("you", owners)
    you = Reader(await ring_of(HCP), directory)
    opened = await you.open_many([*sealed, {"id": "clear"}, unencrypted, unreadable])
    assert [entity.document.get("note") if entity else "-" for entity in opened] == [
        *("x", "x", "x"),
        *(None, None),
        "-",
    ]
    assert opened[4] is not None
    assert opened[4].key is not None
    assert directory.refreshed == 1
    assert await you.open_many([*sealed, {"id": "clear"}]) == [*opened[:3], opened[3]]
    assert directory.refreshed == 1
    assert await you.open_many([]) == []


async def test_reprs_show_no_secret() -> None:
    owners, keys = await household()
    me = await reader("me", owners, NED)
    opened = await me.open(await me.keys.seal_new({"id": "p", "note": "SECRET"}, ["note"], keys))
    assert opened is not None
    assert opened.key is not None
    for shown in (repr(opened), str(opened), repr(me), repr(vars(me)), repr([opened])):
        assert "SECRET" not in shown
        assert opened.key.hex() not in shown
        assert repr(opened.key) not in shown


# Forms of past versions (cryptography.md §6.6)


@pytest.mark.parametrize(
    "secret",
    [UUID, UUID.upper(), UUID.replace("-", ""), "Ab" * 32],
    ids=["uuid", "upper", "32", "64"],
)
@pytest.mark.parametrize("url_safe", [False, True])
@pytest.mark.parametrize("upper", [False, True])
async def test_every_form_of_key_and_ciphertext_opens(
    secret: str, url_safe: bool, upper: bool
) -> None:
    owners, keys = await household()
    document = await patient({"note": "x" * 50}, secret, keys["me"])
    if url_safe:
        text = document["encryptedSelf"].rstrip("=").replace("+", "-").replace("/", "_")
        document["encryptedSelf"] = text
    if upper:
        entry = document["encryptionKeys"]["me"][0]
        entry["key"] = entry["key"].upper()
    opened = await (await reader("me", owners, NED)).open(document)
    assert opened is not None
    assert opened.document["note"] == "x" * 50


@pytest.mark.parametrize(
    "plaintext",
    [f"another-id:{UUID}", f"p:{UUID}:third:fourth", f":{UUID}", f"\xe9\xff:{UUID}"],
)
async def test_what_else_an_entry_says_does_not_matter(plaintext: str) -> None:
    owners, keys = await household()
    document = await patient({"note": "x"}, UUID, keys["me"])
    text = aes_cbc_encrypt(keys["me"], bytes(16), plaintext.encode("latin-1")).hex()
    document["encryptionKeys"]["me"][0] |= {"key": text, "tags": ["kept"]}
    opened = await (await reader("me", owners, NED)).open(document)
    assert opened is not None
    assert opened.document["note"] == "x"
    assert opened.document["encryptionKeys"]["me"][0]["tags"] == ["kept"]


@pytest.mark.parametrize(
    "plaintext", [b"", b"p", b"p:", b"p:\0\1", b"p:\xe9", b"p:a\nb", UUID.encode()]
)
async def test_what_is_no_secret_is_none(plaintext: bytes) -> None:
    exchange_key = bytes(32)
    text = aes_cbc_encrypt(exchange_key, bytes(16), plaintext).hex()
    assert await decrypt_entry(CRYPTO, exchange_key, {"key": text}) is None


async def test_wrong_entries_before_the_right_one_do_not_matter() -> None:
    owners, keys = await household()
    document = await patient({"note": "x"}, UUID, keys["me"])
    right = document["encryptionKeys"]["me"]
    document["encryptionKeys"]["me"] = [
        "odd",
        {"owner": "me"},
        {"owner": "nobody", "key": right[0]["key"]},
        {"owner": "me", "key": "zz"},
        await entry_of("no key", keys["me"]),
        await entry_of(SECRET_ID, keys["me"]),  # well-formed, but of something else
        await entry_of(SECRET_ID, bytes(32)),
        *right,
    ]
    opened = await (await reader("me", owners, NED)).open(document)
    assert opened is not None
    assert opened.document["note"] == "x"
    assert len(entries_for(document["encryptionKeys"], "me")) == 6


@pytest.mark.parametrize("empty", [{}, None, {"me": []}, "odd"])
async def test_without_keys_the_secret_id_is_the_key(empty: Any) -> None:
    owners, keys = await household()
    document = await patient({"note": "x"}, UUID, keys["me"])
    document["delegations"] = document["encryptionKeys"]
    document["encryptionKeys"] = empty
    me = await reader("me", owners, NED)
    opened = await me.open(document)
    assert opened is not None
    assert opened.key is not None
    assert opened.document["note"] == "x"
    sealed = await me.seal_again(opened.document | {"note": "y"}, ["note"], opened.key)
    again = await me.open(sealed)
    assert again is not None
    assert again.document["note"] == "y"


async def test_exchange_keys_in_hc_party_keys_only_open_for_both() -> None:
    exchange_key = bytes(range(32))
    wrapped = await KeyRing(CRYPTO).wrap(exchange_key, [NED.public_key, HCP.public_key])
    me = owner("me", NED, hcPartyKeys={"you": list(wrapped.values())})
    owners = {"me": me, "you": owner("you", HCP)}
    document = await patient({"note": "x"}, UUID, exchange_key)
    document["encryptionKeys"] = {"you": [await entry_of(UUID, exchange_key, delegate_id="you")]}
    # "you" through the server's view with its "" key; "me" through what was shared with "you".
    for name in ("you", "me"):
        opened = await (await reader(name, owners, PAIRS[name])).open(document)
        assert opened is not None
        assert opened.document["note"] == "x"


async def test_full_public_keys_in_place_of_fingerprints_open() -> None:
    owners, keys = await household()
    slot = owners["me"]["aesExchangeKeys"][NED.public_key]["you"]
    full = {NED.fingerprint: NED.public_key, HCP.fingerprint: HCP.public_key.upper()}
    owners["me"]["aesExchangeKeys"][NED.public_key]["you"] = {
        full[name]: text.upper() for name, text in slot.items()
    }
    del owners["me"]["hcPartyKeys"]
    sealed = await (await reader("me", owners, NED)).keys.seal_new(
        {"id": "p", "note": "x"}, ["note"], keys
    )
    opened = await (await reader("you", owners, HCP)).open(sealed)
    assert opened is not None
    assert opened.document["note"] == "x"


async def test_a_child_reads_what_was_shared_with_its_parent() -> None:
    owners, keys = await household()
    sealed = await (await reader("me", owners, NED)).keys.seal_new(
        {"id": "p", "note": "x"}, ["note"], {name: keys[name] for name in ("me", "you")}
    )
    owners["child"] = owner("child", NED_LOST, parentId="you")
    opened = await (await reader("child", owners, NED_LOST, HCP)).open(sealed)
    assert opened is not None
    assert opened.document["note"] == "x"
    assert await (await reader("child", owners, NED_LOST)).open(sealed) is None
    assert await (await reader("child", owners, HCP)).open(sealed) is not None
    owners["child"]["parentId"] = None
    assert await (await reader("child", owners, NED_LOST, HCP)).open(sealed) is None


async def test_access_given_back_opens_even_next_to_a_key_of_something_else() -> None:
    """An owner with a new key reads old data through a delegate who gave access back.

    Its own list already has an entry under the new key, which hides another key.
    """
    owners, keys = await household()
    sealed = await (await reader("me", owners, NED)).keys.seal_new(
        {"id": "p", "note": "x"}, ["note"], keys
    )
    back = await KeyRing(CRYPTO).wrap(keys["you"], [NED_LOST.public_key])
    owners["me"]["aesExchangeKeys"][NED.public_key]["you"] |= back
    new_key = os.urandom(32)
    owners["me"]["aesExchangeKeys"][NED_LOST.public_key] = {
        "me": await KeyRing(CRYPTO).wrap(new_key, [NED_LOST.public_key])
    }
    sealed["encryptionKeys"]["me"].append(await entry_of(SECRET_ID, new_key))
    opened = await (await reader("me", owners, NED_LOST)).open(sealed)
    assert opened is not None
    assert opened.document["note"] == "x"


async def test_the_key_is_the_one_in_the_entries() -> None:
    """A record saved with ``OpenedEntity.key`` is for everyone who has an entry."""
    stage = owners_at("1-shared")
    ned_id = WORLD["users"]["ned"]["dataOwnerId"]
    entities = await reader(ned_id, stage, NED)
    document = stage["e3d39276-5730-4fbc-9069-bb7f99dfde55"]
    opened = await entities.open(document)
    assert opened is not None
    assert opened.key is not None
    assert await decrypt_members(CRYPTO, opened.key, document) == opened.document
