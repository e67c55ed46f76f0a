"""A key file written by one SDK is a key file for the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from icure_async import KeyPair, Patient
from icure_async.storage import FileKeyStorage
from tests.support.builders import builder_for
from tests.support.notes import MARKER
from tests.support.our_sdk import register_with_sdk
from tests.support.reference_steps import register_with_reference, stored_patient

if TYPE_CHECKING:
    from pathlib import Path

    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import ReferenceSdk

pytestmark = pytest.mark.interop

PHONE = "+32588235595"
OWNER = "5a3f0c57-3a7e-4f0e-9f3c-3b1de1a9c0de"


def generate_key_pair() -> KeyPair:
    """A pair that neither SDK made."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return KeyPair(
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex(),
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).hex(),
    )


async def test_the_same_pair_makes_the_same_key_file(
    reference: ReferenceSdk, tmp_path: Path
) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    generated = await reference.generate_full_key_file(theirs, OWNER)
    pair = KeyPair(generated.public_key, generated.private_key)
    name = f"{OWNER}.{pair.fingerprint}"
    await reference.write_key_file(theirs, name, pair)
    await FileKeyStorage(ours).store_key_pair(OWNER, pair)
    assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    assert [file.name for file in ours.iterdir()] == [name]


async def test_webcrypto_imports_a_key_file_of_ours(
    reference: ReferenceSdk, tmp_path: Path
) -> None:
    pair = generate_key_pair()
    await FileKeyStorage(tmp_path).store_key_pair(OWNER, pair)
    imported = await reference.use_key_file(tmp_path, f"{OWNER}.{pair.fingerprint}")
    assert imported.public_key == pair.public_key
    assert imported.private_key == pair.private_key


@pytest.mark.parametrize(
    "name",
    [
        "{owner}.{fingerprint}",
        "org.taktik.icure.rsa.{owner}.{fingerprint}",
        "org.taktik.icure.rsa.{owner}",
    ],
    ids=["current", "base_library", "legacy"],
)
async def test_our_storage_reads_every_key_file_the_reference_writes(
    reference: ReferenceSdk, tmp_path: Path, name: str
) -> None:
    generated = await reference.generate_full_key_file(tmp_path, name.replace("{owner}", OWNER))
    expected = KeyPair(generated.public_key, generated.private_key)
    key_storage = FileKeyStorage(tmp_path)
    found = await key_storage.get_key_pair(OWNER, generated.fingerprint)
    assert found is not None
    assert (found.public_key, found.private_key) == (expected.public_key, expected.private_key)
    assert list(await key_storage.list_key_pairs(OWNER)) == [expected]
    assert list(await key_storage.list_key_pairs("somebody-else")) == []


async def test_the_reference_opens_a_key_file_of_ours(
    sandbox: Sandbox, reference: ReferenceSdk, tmp_path: Path
) -> None:
    result = await register_with_sdk(sandbox, PHONE)
    [pair] = result.key_pairs
    async with result.med_tech_api as api:
        patient = await api.patient_api.create_or_modify_patient(
            Patient(first_name="Robb", last_name="Stark", note=MARKER)
        )
    assert patient.id is not None
    user = await reference.login(sandbox.icure_url, PHONE, result.token, storage_directory=tmp_path)
    await FileKeyStorage(tmp_path).store_key_pair(user["patientId"], pair)
    loaded = await reference.load_stored_key_pair(pair.fingerprint)
    assert (loaded.public_key, loaded.private_key) == (pair.public_key, pair.private_key)
    assert (await reference.get_patient(patient.id))["note"] == MARKER


async def test_our_sdk_opens_a_key_file_of_the_reference(
    sandbox: Sandbox, reference: ReferenceSdk, tmp_path: Path
) -> None:
    user = await register_with_reference(reference, sandbox, PHONE, storage_directory=tmp_path)
    created = await reference.create_patient(firstName="Robb", lastName="Stark", note=MARKER)
    key_storage = FileKeyStorage(tmp_path)
    expected = KeyPair(user.key_pair.public_key, user.key_pair.private_key)
    assert list(await key_storage.list_key_pairs(user.data_owner_id)) == [expected]
    async with (
        builder_for(sandbox.icure_url, user.login, user.token).with_key_storage(key_storage).build()
    ) as api:
        await api.init_user_crypto()
        assert (await api.patient_api.get_patient(created["id"])).note == MARKER
    document = await stored_patient(sandbox, user.data_owner_id)
    assert document["publicKey"] == user.key_pair.public_key
    assert not document["transferKeys"]
