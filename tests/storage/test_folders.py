"""Folders that may hold keys: nobody else can replace them."""

# The tests look at the disk themselves, on purpose.

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from icure_async.errors import StorageError
from icure_async.models.key_pair import KeyPair
from icure_async.storage import FileKeyStorage, FileStorage

OWNER = "3b241101-e2bb-4255-8caf-4136c566a962"
SOMEBODY = 1234
US = 5678

pytestmark = pytest.mark.skipif(os.name != "posix", reason="nobody owns a folder there")


class People:
    """Pretended owners of files, since a test may not be allowed to give files away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self._owners: dict[Path, int] = {}
        self._top = tmp_path
        self.volumes: set[Path] = set()
        self._replace(monkeypatch, "stat")
        self._replace(monkeypatch, "lstat")
        self.become(monkeypatch, US)
        monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) in self.volumes)

    def own(self, path: Path, uid: int) -> None:
        self._owners[path] = uid

    def become(self, monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: uid)

    def _replace(self, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        real = getattr(os, method)

        def status_of(path: Any, **options: Any) -> os.stat_result:
            status: os.stat_result = real(path, **options)
            if isinstance(path, int):
                return status
            members = list(status)
            follows = method == "stat" and options.get("follow_symlinks", True)
            followed = Path(os.path.realpath(path)) if follows else Path(path)
            inside = followed != self._top and followed.is_relative_to(self._top)
            members[stat.ST_UID] = self._owners.get(followed, US if inside else 0)
            return os.stat_result(members)

        monkeypatch.setattr(os, method, status_of)


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> People:
    return People(monkeypatch, tmp_path)


def make(path: Path, mode: int) -> Path:
    path.mkdir(parents=True)
    path.chmod(mode)
    return path


async def can_write(folder: Path) -> bool:
    refused = None
    try:
        await FileStorage(folder).set_item("item", "value")
    except StorageError as error:
        refused = str(error)
    if refused is None:
        return stat.S_IMODE((folder / "item").stat().st_mode) == 0o600
    assert "'item'" in refused
    assert "choose" in refused
    assert not (folder / "item").exists()
    return False


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o770, 0o777])
async def test_a_folder_of_somebody_elses_is_refused(
    people: People, tmp_path: Path, mode: int
) -> None:
    folder = make(tmp_path / "theirs", mode)
    people.own(folder, SOMEBODY)
    with pytest.raises(StorageError, match="belongs to another user"):
        await FileStorage(folder).set_item("item", "value")
    assert list(folder.iterdir()) == []
    assert stat.S_IMODE(folder.stat().st_mode) == mode


async def test_keys_are_refused_there_before_anything_is_written(
    people: People, tmp_path: Path, pair: KeyPair
) -> None:
    folder = make(tmp_path / "theirs", 0o777)
    people.own(folder, SOMEBODY)
    for place in (folder, folder / "pre" / "new"):
        with pytest.raises(StorageError, match=r"another user|other users"):
            await FileKeyStorage(place).store_key_pair(OWNER, pair)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("uid", [US, 0])
async def test_ones_own_folder_and_one_of_roots_are_fine(
    people: People, tmp_path: Path, uid: int
) -> None:
    folder = make(tmp_path / "ours", 0o755)
    people.own(folder, uid)
    assert await can_write(folder)
    assert await can_write(folder / "new" / "folder")


@pytest.mark.parametrize(
    ("owner", "mode", "fine"),
    [
        (US, 0o700, True),
        (US, 0o755, True),
        (US, 0o775, True),
        (US, 0o757, False),
        (US, 0o777, False),
        (US, 0o1777, True),
        (0, 0o755, True),
        (0, 0o775, True),
        (0, 0o2775, True),
        (0, 0o777, False),
        (0, 0o1777, True),
        (SOMEBODY, 0o755, True),
        (SOMEBODY, 0o775, False),
        (SOMEBODY, 0o777, False),
        (SOMEBODY, 0o1777, True),
    ],
)
async def test_nobody_else_may_write_to_a_parent(
    people: People, tmp_path: Path, owner: int, mode: int, fine: bool
) -> None:
    parent = make(tmp_path / "parent", mode)
    people.own(parent, owner)
    assert await can_write(parent / "new") is fine
    old = make(tmp_path / "older" / "keys", 0o700).parent
    old.chmod(mode)
    people.own(old, owner)
    assert await can_write(old / "keys") is fine
    assert await can_write(old / "keys" / "deeper") is fine


async def test_the_advice_for_an_open_parent_is_one_that_helps(
    people: People, tmp_path: Path
) -> None:
    parent = make(tmp_path / "parent", 0o777)
    with pytest.raises(StorageError, match="chmod go-w") as caught:
        await FileStorage(parent / "keys").set_item("item", "value")
    assert str(parent) in str(caught.value)
    parent.chmod(0o755)
    assert await can_write(parent / "keys")


async def test_the_top_of_a_volume_that_root_mounted_may_be_open(
    people: People, tmp_path: Path
) -> None:
    """As that of an ``emptyDir`` of Kubernetes."""
    volume = make(tmp_path / "volume", 0o777)
    people.own(volume, 0)
    assert not await can_write(volume / "keys")
    people.volumes.add(volume)
    assert await can_write(volume / "keys")
    people.own(volume, SOMEBODY)
    assert not await can_write(volume / "others")


async def test_root_may_use_anybodys_folder(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container, with a folder of the host."""
    people.become(monkeypatch, 0)
    folder = make(tmp_path / "theirs", 0o755)
    people.own(folder, SOMEBODY)
    assert await can_write(folder)
    assert await can_write(folder / "new")
    open_to_all = make(tmp_path / "open", 0o777)
    people.own(open_to_all, SOMEBODY)
    assert not await can_write(open_to_all / "new")


Plant = Callable[[Path], Path]


@pytest.mark.parametrize("user", [US, 0])
@pytest.mark.parametrize("kind", ["absolute", "relative", "in the middle", "of a link"])
async def test_a_link_that_somebody_else_put_there_is_not_followed(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, kind: str
) -> None:
    people.become(monkeypatch, user)
    shared = make(tmp_path / "shared", 0o1777)
    people.own(shared, 0)
    target = make(tmp_path / "target", 0o700)
    people.own(target, user)
    link = shared / "link"
    link.symlink_to("../target" if kind == "relative" else target)
    people.own(link, SOMEBODY)
    place = link
    if kind == "in the middle":
        place = link / "keys"
    elif kind == "of a link":
        place = tmp_path / "ours"
        place.symlink_to(link)
    with pytest.raises(StorageError, match="symbolic link that another user made"):
        await FileStorage(place).set_item("item", "value")
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("owner", [US, 0])
async def test_ones_own_link_and_one_of_roots_are_followed(
    people: People, tmp_path: Path, owner: int
) -> None:
    target = make(tmp_path / "target", 0o700)
    link = tmp_path / "link"
    link.symlink_to("target")
    people.own(link, owner)
    assert await can_write(link)
    assert await can_write(link / "deeper")
    assert (target / "deeper" / "item").exists()


async def test_a_link_to_a_place_that_others_may_write_to_is_refused(
    people: People, tmp_path: Path
) -> None:
    make(tmp_path / "open" / "target", 0o700)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to("open/target")
    with pytest.raises(StorageError, match="other users"):
        await FileStorage(tmp_path / "link").set_item("item", "value")


async def test_links_in_a_circle_end(people: People, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StorageError, match="'item'"):
        await FileStorage(tmp_path / "a").set_item("item", "value")


async def test_what_was_read_before_can_still_be_read(people: People, tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    assert await can_write(folder)
    people.own(folder, SOMEBODY)
    assert await FileStorage(folder).get_item("item") == "value"
    with pytest.raises(StorageError):
        await FileStorage(folder).set_item("item", "newer")
