"""Key files of Cardinal, written and read."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
from pathlib import Path

import pytest

from icure_async import KeyPair
from icure_async.errors import BackupError, ValidationError
from icure_async.storage.cardinal_keys import read_cardinal_folder, write_cardinal_folder
from tests.support.exchange_backend import pairs_of

OWNER = "f3a551e4-924e-5df7-b419-199171b4adb4"


@pytest.fixture
def pair() -> KeyPair:
    return pairs_of("doc1")[0]


@pytest.fixture
def other() -> KeyPair:
    return pairs_of("doc2")[0]


def entry(pair: KeyPair, origin: str = "device", owner: str = OWNER) -> str:
    return f"org.taktik.icure.rsa.{origin}.{owner}.{pair.fingerprint}"


def content(pair: KeyPair) -> str:
    encoded = base64.b64encode(bytes.fromhex(pair.private_key)).decode()
    return f'{{"privateKey":"{encoded}"}}'


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_key_pair_is_written_as_cardinal_writes_it_and_for_its_owner_alone(
    tmp_path: Path, pair: KeyPair
) -> None:
    folder = tmp_path / "new" / "keys"
    (path,) = await write_cardinal_folder(folder, OWNER, [pair])
    assert path == folder / f"org.taktik.icure.rsa.device.{OWNER}.{pair.public_key[-32:]}"
    assert path.read_text() == content(pair)
    assert mode_of(path) == 0o600
    assert mode_of(folder) == 0o700
    assert list(folder.iterdir()) == [path]

    found = await read_cardinal_folder(folder)
    assert found.key_pairs == {OWNER: [pair]}
    assert found.unverified == {}
    assert found.exposed == []


async def test_writing_again_changes_nothing_and_nothing_is_ever_replaced(
    tmp_path: Path, pair: KeyPair, other: KeyPair
) -> None:
    (path,) = await write_cardinal_folder(tmp_path, OWNER, [pair])
    before = path.stat().st_ino, path.stat().st_mtime_ns
    assert await write_cardinal_folder(tmp_path, OWNER, [pair]) == [path]
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before
    path.write_text(json.dumps(json.loads(content(pair)), indent=1))
    assert await write_cardinal_folder(tmp_path, OWNER, [pair]) == [path]
    for taken in (content(other), "", "{}", "nonsense"):
        path.write_text(taken)
        with pytest.raises(BackupError, match="never overwritten"):
            await write_cardinal_folder(tmp_path, OWNER, [other, pair])
        assert path.read_text() == taken
        assert not (tmp_path / entry(other)).exists()


async def test_programs_that_write_the_same_key_pair_at_once_all_succeed(
    tmp_path: Path, pair: KeyPair
) -> None:
    writing = [write_cardinal_folder(tmp_path / "keys", OWNER, [pair]) for _ in range(8)]
    assert len({str(path) for (path,) in await asyncio.gather(*writing)}) == 1


async def test_a_link_in_the_way_is_not_followed(
    tmp_path: Path, pair: KeyPair, other: KeyPair
) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder = tmp_path / "keys"
    folder.mkdir(0o700)
    (folder / entry(pair)).symlink_to(elsewhere)
    with pytest.raises(BackupError, match="never overwritten"):
        await write_cardinal_folder(folder, OWNER, [pair])
    assert not elsewhere.exists()


@pytest.mark.parametrize("owner", ["", "a/b", "..\\a", "a\nb", "a\0b", "/"])
async def test_an_owner_id_that_is_no_part_of_a_file_name_is_refused(
    tmp_path: Path, pair: KeyPair, owner: str
) -> None:
    with pytest.raises(ValidationError):
        await write_cardinal_folder(tmp_path / "keys", owner, [pair])
    assert not (tmp_path / "keys").exists()


async def test_there_must_be_a_key_pair_and_a_valid_one(
    tmp_path: Path, pair: KeyPair, other: KeyPair
) -> None:
    with pytest.raises(BackupError, match="nothing to export"):
        await write_cardinal_folder(tmp_path / "keys", OWNER, [])
    mixed = KeyPair(pair.public_key, other.private_key)
    with pytest.raises(ValidationError):
        await write_cardinal_folder(tmp_path / "keys", OWNER, [mixed])
    assert not (tmp_path / "keys").exists()


async def test_what_others_can_read_is_told(tmp_path: Path, pair: KeyPair) -> None:
    path = tmp_path / entry(pair)
    path.write_text(content(pair))
    path.chmod(0o644)
    found = await read_cardinal_folder(tmp_path)
    assert found.key_pairs == {OWNER: [pair]}
    assert found.exposed == [path]


async def test_a_recovered_key_counts_where_it_was_verified_or_is_of_the_device_too(
    tmp_path: Path, pair: KeyPair, other: KeyPair
) -> None:
    for one in (pair, other):
        (tmp_path / entry(one, "recovered")).write_text(content(one))
    found = await read_cardinal_folder(tmp_path)
    assert found.key_pairs == {}
    assert sorted(found.unverified[OWNER], key=str) == sorted([pair, other], key=str)

    verified = tmp_path / f"org.taktik.icure.rsa.{OWNER}.verification.self"
    verified.write_text(json.dumps({pair.fingerprint: True, other.fingerprint: False}))
    found = await read_cardinal_folder(tmp_path)
    assert (found.key_pairs, found.unverified) == ({OWNER: [pair]}, {OWNER: [other]})

    for doubtful in ('{"' + pair.fingerprint + '": "true"}', "nonsense", "[]", ""):
        verified.write_text(doubtful)
        assert (await read_cardinal_folder(tmp_path)).key_pairs == {}

    (tmp_path / entry(other)).write_text(content(other))
    assert (await read_cardinal_folder(tmp_path)).key_pairs == {OWNER: [other]}


async def test_entries_of_other_things_and_of_others_are_told_apart(
    tmp_path: Path, pair: KeyPair, other: KeyPair
) -> None:
    (tmp_path / entry(pair)).write_text(content(pair))
    (tmp_path / entry(other, owner="a.b.c")).write_text(content(other))
    for name in (
        f"org.taktik.icure.rsa.sign.{OWNER}.self",
        f"org.taktik.icure.rsa.sign.verify.{OWNER}.{pair.fingerprint}",
        f"org.taktik.icure.rsa.device.{OWNER}",
        f"org.taktik.icure.rsa.device.{OWNER}.short",
        ".hidden",
        "notes.txt",
    ):
        (tmp_path / name).write_text("whatever")
    found = await read_cardinal_folder(tmp_path)
    assert found.key_pairs == {OWNER: [pair], "a.b.c": [other]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON object"),
        ("[]", "no JSON object"),
        ("{}", "no JSON object"),
        ('{"privateKey": 1}', "no JSON object"),
        ('{"privateKey": "AAAA"}', "not the base64"),
        ('{"privateKey": "\u00e9"}', "not the base64"),
        ("x" * 70_000, "too large"),
    ],
)
async def test_a_broken_file_is_named_and_its_content_is_not(
    tmp_path: Path, pair: KeyPair, text: str, reason: str
) -> None:
    path = tmp_path / entry(pair)
    path.write_text(text)
    with pytest.raises(BackupError, match=reason) as caught:
        await read_cardinal_folder(tmp_path)
    assert str(path) in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_key_under_the_name_of_another_is_refused(
    tmp_path: Path, pair: KeyPair, other: KeyPair
) -> None:
    (tmp_path / entry(pair)).write_text(content(other))
    with pytest.raises(BackupError, match="another key than its name says") as caught:
        await read_cardinal_folder(tmp_path)
    assert other.private_key[:40] not in str(caught.value)


async def test_a_folder_in_the_place_of_a_file_and_a_folder_that_is_missing(
    tmp_path: Path, pair: KeyPair
) -> None:
    with pytest.raises(BackupError, match="no such folder"):
        await read_cardinal_folder(tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(BackupError, match="Could not read"):
        await read_cardinal_folder(tmp_path / "file")
    (tmp_path / entry(pair)).mkdir()
    with pytest.raises(BackupError, match="Could not read"):
        await read_cardinal_folder(tmp_path)
