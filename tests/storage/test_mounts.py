"""Keys in a mounted Kubernetes Secret: a folder of symbolic links, which the kubelet exchanges."""

# The tests look at the disk themselves, on purpose.

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

from icure_async.errors import StorageError
from icure_async.models.key_pair import KeyPair
from icure_async.storage import EncryptedKeyStorage, FileKeyStorage, FileStorage, _disk
from icure_async.storage.jwk import key_pair_to_jwk_json
from tests.support.leaks import assert_secret_free

OWNER = "3b241101-e2bb-4255-8caf-4136c566a962"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no such mounts")


class Mount:
    """A folder as the kubelet makes it, and changes it when the Secret is changed."""

    def __init__(self, folder: Path, mode: int = 0o400) -> None:
        self.folder = folder
        self._mode = mode
        self._count = 0
        folder.mkdir(mode=0o755)

    def update(self, contents: dict[str, str]) -> None:
        """Write the contents to a new folder, and exchange the link to it in one step."""
        self._count += 1
        new = self.folder / f"..2026_11_26_13_00_00.{self._count}"
        new.mkdir(mode=0o755)
        for name, content in contents.items():
            (new / name).write_text(content)
            (new / name).chmod(self._mode)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        before = (self.folder / "..data").resolve() if self._count > 1 else None
        (self.folder / "..data_tmp").symlink_to(new.name)
        (self.folder / "..data_tmp").replace(self.folder / "..data")
        if before is not None:
            shutil.rmtree(before)


def name_of(pair: KeyPair) -> str:
    return f"{OWNER}.{pair.fingerprint}"


def contents_of(*pairs: KeyPair) -> dict[str, str]:
    return {name_of(pair): key_pair_to_jwk_json(pair) for pair in pairs}


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path / "secret")


@pytest.mark.parametrize("dir_fd", [True, False])
async def test_keys_in_a_mounted_secret_are_read(
    mount: Mount, pairs: list[KeyPair], monkeypatch: pytest.MonkeyPatch, dir_fd: bool
) -> None:
    if not dir_fd:
        monkeypatch.setattr(_disk, "_FROM_FOLDER", False)
    mount.update(contents_of(*pairs[:2]))
    keys = FileKeyStorage(mount.folder)
    for pair in pairs[:2]:
        assert await keys.get_key_pair(OWNER, pair.fingerprint) == pair
    assert await keys.get_key_pair(OWNER, pairs[2].fingerprint) is None
    assert set(await keys.list_key_pairs(OWNER)) == set(pairs[:2])
    assert [key.problem for key in await keys.list_stored_keys()] == [None, None]
    mount.update(contents_of(pairs[2]) | contents_of(*pairs[:2]))
    assert set(await keys.list_key_pairs(OWNER)) == set(pairs)


async def test_a_relative_folder_and_a_link_to_the_folder_serve_as_well(
    mount: Mount, pair: KeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount.update(contents_of(pair))
    (tmp_path / "link").symlink_to(mount.folder)
    monkeypatch.chdir(tmp_path)
    for folder in ("secret", "link", "secret/../link"):
        assert await FileKeyStorage(folder).list_key_pairs(OWNER) == [pair]


@pytest.mark.parametrize("mode", [0o444, 0o440, 0o644])
async def test_one_that_others_can_read_is_refused_with_the_mode_to_set(
    tmp_path: Path, pair: KeyPair, mode: int
) -> None:
    mount = Mount(tmp_path / "secret", mode)
    mount.update(contents_of(pair))
    with pytest.raises(StorageError, match=f"{mode:04o}.*defaultMode: 0400") as caught:
        await FileKeyStorage(mount.folder).list_key_pairs(OWNER)
    message = str(caught.value)
    assert str(mount.folder / name_of(pair)) in message
    assert "chmod" not in message
    assert "EncryptedKeyStorage" in message
    assert_secret_free(caught.value, pair.private_key[-60:])


async def test_an_encrypted_folder_may_be_mounted_for_a_group(
    tmp_path: Path, pair: KeyPair
) -> None:
    passphrase = "four words are hard to guess"
    await EncryptedKeyStorage(tmp_path / "made", passphrase=passphrase).store_key_pair(OWNER, pair)
    mount = Mount(tmp_path / "secret", 0o440)
    mount.update({path.name: path.read_text() for path in (tmp_path / "made").iterdir()})
    mounted = EncryptedKeyStorage(mount.folder, passphrase=passphrase)
    assert await mounted.list_key_pairs(OWNER) == [pair]


async def test_nothing_is_written_through_a_link(mount: Mount, pair: KeyPair) -> None:
    mount.update(contents_of(pair))
    storage = FileStorage(mount.folder)
    for attempt in (storage.set_item(name_of(pair), "x"), storage.remove_item(name_of(pair))):
        with pytest.raises(StorageError, match=r"symbolic link.*only reading"):
            await attempt
    assert await FileKeyStorage(mount.folder).list_key_pairs(OWNER) == [pair]


async def test_a_mount_that_is_read_only_needs_no_lock(
    mount: Mount, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount.update(contents_of(pair))

    def refuse(path: Path) -> int | None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("icure_async.storage.files.try_lock", refuse)
    async with FileKeyStorage(mount.folder).lock(OWNER) as lock:
        assert not lock.waited


@pytest.mark.parametrize("target", ["absolute", "relative", "by a link to a folder", "the folder"])
@pytest.mark.parametrize("dir_fd", [True, False])
async def test_what_a_link_leads_to_outside_is_never_read(
    mount: Mount,
    pair: KeyPair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    dir_fd: bool,
) -> None:
    if not dir_fd:
        monkeypatch.setattr(_disk, "_FROM_FOLDER", False)
    outside = tmp_path / "secret-too"
    outside.mkdir()
    (outside / "key").write_text(key_pair_to_jwk_json(pair))
    (outside / "key").chmod(0o600)
    (mount.folder / "folder").symlink_to(outside)
    (mount.folder / name_of(pair)).symlink_to(
        {
            "absolute": str(outside / "key"),
            "relative": "../secret-too/key",
            "by a link to a folder": "folder/key",
            "the folder": ".",
        }[target]
    )
    with pytest.raises(StorageError, match="symbolic link") as caught:
        await FileKeyStorage(mount.folder).get_key_pair(OWNER, pair.fingerprint)
    assert_secret_free(caught.value, pair.private_key[-60:])


async def test_a_link_that_is_exchanged_while_it_is_followed_leads_nowhere_else(
    mount: Mount, pair: KeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount.update(contents_of(pair))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / name_of(pair)).write_text("not yours")
    real_open = os.open
    inner = (mount.folder / "..data").resolve()

    def exchange(path: str | Path, flags: int, *args: int, **options: int) -> int:
        if path == inner.name and not inner.is_symlink():
            inner.rename(tmp_path / "moved")
            inner.symlink_to(outside)
        return real_open(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", exchange)
    with pytest.raises(StorageError) as caught:
        await FileStorage(mount.folder).get_item(name_of(pair))
    assert_secret_free(caught.value, "not yours")


async def test_a_link_to_nothing_is_an_error_and_not_an_absent_key(
    mount: Mount, pair: KeyPair
) -> None:
    (mount.folder / name_of(pair)).symlink_to("..data/gone")
    with pytest.raises(StorageError, match="file that is not there"):
        await FileKeyStorage(mount.folder).get_key_pair(OWNER, pair.fingerprint)


async def test_a_folder_or_a_pipe_behind_a_link_is_an_error(mount: Mount) -> None:
    (mount.folder / "..data").mkdir()
    os.mkfifo(mount.folder / "..data" / "pipe")
    for name in ("..data", "..data/pipe"):
        (mount.folder / "item").symlink_to(name)
        with pytest.raises(StorageError, match="'item'"):
            await FileStorage(mount.folder).get_item("item")
        (mount.folder / "item").unlink()


async def test_a_secret_that_is_changed_again_and_again_is_always_read(
    mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_disk, "_LINK_TRIES", 100)
    mount.update({"item": "0"})
    over = threading.Event()

    def change() -> None:
        number = 0
        while not over.wait(0.005):
            number += 1
            mount.update({"item": str(number)})

    changing = asyncio.ensure_future(asyncio.to_thread(change))
    try:
        seen = [await FileStorage(mount.folder).get_item("item") for _ in range(200)]
    finally:
        over.set()
        await changing
    assert None not in seen
    assert len(set(seen)) > 1
