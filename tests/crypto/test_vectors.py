"""cryptography.md §1, to the byte."""

from __future__ import annotations

import pytest

from icure_async.crypto.encoding import decode_base64, decode_hex, encode_base64, uuid_from
from icure_async.crypto.software import SoftwareCrypto, aes_cbc_decrypt, aes_cbc_encrypt
from icure_async.crypto.threads import INLINE_BYTES
from icure_async.entities.delegations import decrypt_entry, encrypt_entry, entity_key_of
from icure_async.entities.encrypted_self import decrypt_members, encrypt_members, javascript_json
from icure_async.models.key_pair import fingerprint_of
from tests.support.golden import WORLD
from tests.support.golden_people import HCP

EXCHANGE_KEY = bytes(range(32))
IV = bytes(range(0xA0, 0xB0))
ENTITY_ID = "3b241101-e2bb-4255-8caf-4136c566a962"
SECRET = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
ENTRY = (
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf36f4e7e2d3adb0a7002c13edf6780e8dc960bc9e9a49afc361dd7a4bf1c21d68"
    "6b9798e29039e4b21e5f0d3ddfb19b4bfdd4beb21be196b44021111dea591f30c413016ca08a05de1f7bea15997895d3"
)
ENTITY_KEY = "6f1ed002-ab55-4b2e-9b3a-2f0a1c4d5e6f"
SELVES = {
    "oKGio6SlpqeoqaqrrK2urxoRxomDThgwa0V5OSFDwiJQ7lv7HBpz3GYVm9kelju3": {"note": "Zoë ✓"},
    "oKGio6SlpqeoqaqrrK2ur3AaXOqMwQG51Daj/2zwQ+Q=": {},
}
by_text = pytest.mark.parametrize(("text", "content"), SELVES.items(), ids=["note", "empty"])


class FixedIv(SoftwareCrypto):
    async def random_bytes(self, length: int) -> bytes:
        assert length == len(IV)
        return IV


async def test_the_entry_is_written_as_the_reference_writes_it() -> None:
    entry = await encrypt_entry(
        FixedIv(), EXCHANGE_KEY, owner_id="o", delegate_id="d", entity_id=ENTITY_ID, secret=SECRET
    )
    assert entry == {"owner": "o", "delegatedTo": "d", "key": ENTRY}


@pytest.mark.parametrize("text", [ENTRY, ENTRY.upper()], ids=["lower", "upper"])
async def test_the_entry_is_read(text: str) -> None:
    assert await decrypt_entry(SoftwareCrypto(), EXCHANGE_KEY, {"key": text}) == SECRET


def test_the_pure_functions_give_the_bytes_of_the_entry() -> None:
    plaintext = f"{ENTITY_ID}:{SECRET}".encode()
    assert len(plaintext) == 73
    assert aes_cbc_encrypt(EXCHANGE_KEY, IV, plaintext).hex() == ENTRY
    assert aes_cbc_decrypt(EXCHANGE_KEY, bytes.fromhex(ENTRY)) == plaintext


@by_text
async def test_encrypted_self_is_written_as_the_reference_writes_it(
    text: str, content: dict[str, str]
) -> None:
    key = entity_key_of(ENTITY_KEY)
    assert key is not None
    assert encode_base64(aes_cbc_encrypt(key, IV, javascript_json(content))) == text
    sealed = await encrypt_members(FixedIv(), key, {"id": "i", **content}, ["note"])
    assert sealed == {"id": "i", "encryptedSelf": text}


@by_text
async def test_encrypted_self_is_read(text: str, content: dict[str, str]) -> None:
    key = entity_key_of(ENTITY_KEY)
    assert key is not None
    opened = await decrypt_members(SoftwareCrypto(), key, {"encryptedSelf": text})
    assert opened == {"encryptedSelf": text, **content}


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 31, 32, INLINE_BYTES, INLINE_BYTES + 1])
@pytest.mark.parametrize("key_length", [16, 32])
async def test_every_length_makes_the_round_trip(length: int, key_length: int) -> None:
    crypto = SoftwareCrypto()
    key, plaintext = bytes(range(key_length)), bytes(i % 251 for i in range(length))
    ciphertext = await crypto.aes_encrypt(key, plaintext)
    assert len(ciphertext) == 16 + (length // 16 + 1) * 16
    assert await crypto.aes_decrypt(key, ciphertext) == plaintext


async def test_each_encryption_has_its_own_iv() -> None:
    crypto = SoftwareCrypto()
    ciphertexts = {(await crypto.aes_encrypt(EXCHANGE_KEY, b"same"))[:16] for _ in range(50)}
    assert len(ciphertexts) == 50


@pytest.mark.parametrize("ciphertext", [b"", b"a" * 15, b"a" * 16, b"a" * 17, b"a" * 31, b"a" * 40])
async def test_impossible_lengths_are_refused(ciphertext: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        await SoftwareCrypto().aes_decrypt(EXCHANGE_KEY, ciphertext)


@pytest.mark.parametrize("key", [b"", b"k" * 15, b"k" * 33])
async def test_impossible_keys_are_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        await SoftwareCrypto().aes_decrypt(key, b"c" * 32)


async def test_a_flipped_padding_is_refused() -> None:
    ciphertext = bytearray(aes_cbc_encrypt(EXCHANGE_KEY, IV, b"x" * 15))
    ciphertext[15] ^= 0xFF
    with pytest.raises(ValueError, match=r"."):
        await SoftwareCrypto().aes_decrypt(EXCHANGE_KEY, bytes(ciphertext))


def test_a_fingerprint_is_the_tail_of_the_key() -> None:
    key = "30820122" + "ab" * 200 + "1cf103acacb3f2158c64f50203010001"
    assert fingerprint_of(key) == "1cf103acacb3f2158c64f50203010001"
    assert fingerprint_of(key.upper()) == fingerprint_of(key)
    assert fingerprint_of(fingerprint_of(key)) == fingerprint_of(key)


async def test_new_keys_have_the_form_of_the_reference() -> None:
    pair = await SoftwareCrypto().generate_key_pair()
    for public_key in (pair.public_key, HCP.public_key):
        assert len(public_key) == 588
        assert public_key.startswith(
            "30820122300d06092a864886f70d01010105000382010f003082010a0282010"
        )
        assert public_key.endswith("0203010001")
        assert public_key == public_key.lower()
    for private_key in (pair.private_key, HCP.private_key):
        assert private_key.startswith("308204")
        assert private_key[8:].startswith("020100300d06092a864886f70d0101010500048204")
    assert pair.private_key == pair.private_key.lower()
    assert bytes.fromhex(pair.private_key)


async def test_rsa_ciphertexts_are_256_bytes_of_the_raw_key() -> None:
    crypto = SoftwareCrypto()
    ciphertext = await crypto.rsa_encrypt(HCP.public_key, EXCHANGE_KEY)
    assert len(ciphertext) == 256
    assert await crypto.rsa_decrypt(HCP, ciphertext) == EXCHANGE_KEY


async def test_an_exchange_key_of_the_reference_is_opened() -> None:
    hcp_id = WORLD["users"]["hcp"]["dataOwnerId"]
    hcp = WORLD["stages"]["1-shared"]["entities"]["hcparty"][hcp_id]
    ciphertext = hcp["aesExchangeKeys"][HCP.public_key][hcp_id][HCP.fingerprint]
    assert len(ciphertext) == 512
    assert len(await SoftwareCrypto().rsa_decrypt(HCP, decode_hex(ciphertext))) == 32


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("+/+/", b"\xfb\xff\xbf"),
        ("-_-_", b"\xfb\xff\xbf"),
        ("-/+_", b"\xfb\xff\xbf"),
        ("AA==", b"\0"),
        ("AA", b"\0"),
        ("AAA", b"\0\0"),
        ("AAA=", b"\0\0"),
        ("", b""),
    ],
)
def test_base64_is_read_in_either_alphabet_with_or_without_padding(text: str, data: bytes) -> None:
    assert decode_base64(text) == data


@pytest.mark.parametrize(
    "text", ["A", "AAAAA", "AA=A", "AA\nAA", "A A=", "ÀÀÀÀ", "\ud800AAA", "A*=="]
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_base64(text)


def test_base64_is_written_in_the_standard_alphabet_with_padding() -> None:
    assert encode_base64(b"\xfb\xff\xbf\0") == "+/+/AA=="


@pytest.mark.parametrize("extra", range(-4, 5))
def test_long_base64_is_in_one_piece(extra: int) -> None:
    data = bytes(i % 256 for i in range(2 * INLINE_BYTES + extra))
    text = encode_base64(data)
    assert "=" not in text[:-2]
    assert decode_base64(text) == data
    assert decode_base64(text.rstrip("=").replace("+", "-").replace("/", "_")) == data


@pytest.mark.parametrize("text", ["a", "abc", "0x", "zz", "a b", "éé", "\ud800\ud800"])
def test_what_is_not_hex_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_hex(text)


def test_hex_is_read_in_either_case() -> None:
    assert decode_hex("aAfF00") == b"\xaa\xff\0"


def test_uuids_are_version_4() -> None:
    assert uuid_from(b"\xff" * 16) == "ffffffff-ffff-4fff-bfff-ffffffffffff"
    assert uuid_from(b"\0" * 16) == "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        (ENTITY_KEY, "6f1ed002ab554b2e9b3a2f0a1c4d5e6f"),
        (ENTITY_KEY.upper(), "6f1ed002ab554b2e9b3a2f0a1c4d5e6f"),
        ("6f1ed002ab554b2e9b3a2f0a1c4d5e6f", "6f1ed002ab554b2e9b3a2f0a1c4d5e6f"),
        ("Ab" * 32, "ab" * 32),
        ("", None),
        ("ab" * 15, None),
        ("ab" * 17, None),
        ("ab" * 18, None),
        ("ab" * 24, None),
        ("zz" * 16, None),
        ("ab" * 16 + "\n", None),
        ("é" * 32, None),
        ("٣" * 32, None),
        (f"{ENTITY_KEY} ", None),
    ],
)
def test_only_the_forms_of_keys_are_keys(secret: str, key: str | None) -> None:
    expected = None if key is None else bytes.fromhex(key)
    assert entity_key_of(secret) == expected
