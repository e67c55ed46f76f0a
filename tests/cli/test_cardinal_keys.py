"""``icure keys export --for cardinal`` and ``icure keys import --from cardinal``."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from icure_async import KeyPair
from icure_sync.sandbox import Sandbox
from tests.support.command import Command
from tests.support.exchange_backend import pairs_of

EXPORT = ("keys", "export", "--for", "cardinal")
IMPORT = ("keys", "import", "--from", "cardinal")


@pytest.fixture
def pair() -> KeyPair:
    return pairs_of("doc1")[0]


@pytest.fixture
def owner_id(icure: Command, running: Sandbox, pair: KeyPair) -> str:
    owner_id = running.master_hcp.data_owner_id
    icure.store_key(owner_id, pair)
    return owner_id


def entry(owner_id: str, pair: KeyPair, origin: str = "device") -> str:
    return f"org.taktik.icure.rsa.{origin}.{owner_id}.{pair.fingerprint}"


def test_a_key_pair_goes_to_cardinal_and_comes_back(
    icure: Command, owner_id: str, pair: KeyPair, tmp_path: Path
) -> None:
    folder = tmp_path / "cardinal"
    said = icure(*EXPORT, folder).stdout
    path = folder / entry(owner_id, pair)
    assert "NOT encrypted" in said
    assert path.name in said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert path.read_text().startswith('{"privateKey":"MII')
    icure(*EXPORT, folder)

    (stored,) = icure.json("keys", "list")
    icure("keys", "delete", pair.fingerprint, "--yes")
    assert icure.json("keys", "list") == []
    assert pair.fingerprint in icure(*IMPORT, folder).stdout
    assert icure.json("keys", "list") == [stored]
    icure(*IMPORT, folder)
    assert pair.private_key not in icure.said


def test_nothing_is_replaced(icure: Command, owner_id: str, pair: KeyPair, tmp_path: Path) -> None:
    taken = tmp_path / entry(owner_id, pair)
    taken.write_text("something")
    assert "never overwritten" in icure(*EXPORT, tmp_path, code=1).stderr
    assert "--overwrite" in icure(*EXPORT, tmp_path, "--overwrite", code=1).stderr
    assert taken.read_text() == "something"


def test_another_owner_must_be_named_and_there(
    icure: Command, owner_id: str, pair: KeyPair, tmp_path: Path
) -> None:
    other = pairs_of("doc2")[0]
    icure.store_key("another-owner", other)
    assert "--owner" in icure(*EXPORT, tmp_path, code=1).stderr
    for name in (owner_id, "another-owner"):
        icure(*EXPORT, tmp_path, "--owner", name)
    assert "--owner" in icure(*IMPORT, tmp_path, code=1).stderr
    icure(*IMPORT, tmp_path, "--owner", "another-owner")
    assert (
        "no key pair of data owner nobody"
        in icure(*IMPORT, tmp_path, "--owner", "nobody", code=1).stderr
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no key files" in icure(*IMPORT, empty, code=1).stderr


def test_keys_that_nobody_verified_are_left_out_and_open_files_are_told(
    icure: Command, owner_id: str, pair: KeyPair, tmp_path: Path
) -> None:
    other = pairs_of("doc2")[0]
    icure(*EXPORT, tmp_path)
    device = tmp_path / entry(owner_id, pair)
    device.chmod(0o644)
    icure.store_key("elsewhere", other)
    icure(*EXPORT, tmp_path, "--owner", "elsewhere")
    (tmp_path / entry("elsewhere", other)).rename(tmp_path / entry(owner_id, other, "recovered"))
    said = icure(*IMPORT, tmp_path, code=1).stderr
    assert f"chmod 600 {device}" in said
    assert "NOT imported" in said
    assert {row["fingerprint"] for row in icure.json("keys", "list")} == {
        pair.fingerprint,
        other.fingerprint,
    }
    assert [
        row["data_owner_id"]
        for row in icure.json("keys", "list")
        if row["fingerprint"] == other.fingerprint
    ] == ["elsewhere"]


def test_the_folder_of_our_own_key_files_is_refused(icure: Command, owner_id: str) -> None:
    (stored,) = icure.json("keys", "list")
    folder = Path(stored["file"]).parent
    assert "own key files" in icure(*EXPORT, folder, code=1).stderr
    assert icure.json("keys", "list") == [stored]
