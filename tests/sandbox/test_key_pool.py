"""The pool of key pairs for placed people: made once, and kept for nobody else to read."""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from icure_async import KeyPair
from icure_async.sandbox.control import key_pool
from icure_async.sandbox.control.key_pool import KeyPool
from icure_async.sandbox.master import generate_key_pair


@functools.cache
def pair(_number: int) -> KeyPair:
    return generate_key_pair()


def entry(public: int, private: int) -> dict[str, str]:
    return {"publicKey": pair(public).public_key, "privateKey": pair(private).private_key}


class Maker:
    """Makes key pairs that are told apart, and counts them."""

    def __init__(self) -> None:
        self.made = 0
        self._numbers = itertools.count(1)

    def __call__(self) -> KeyPair:
        self.made += 1
        return pair(next(self._numbers))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "keys.json"


def test_the_same_place_has_the_same_pair_also_in_the_next_run(file: Path) -> None:
    first, second = Maker(), Maker()
    pool = KeyPool(lambda: file, first)
    assert pool.known(0) is None
    pairs = [pool.at(place) for place in (0, 1, 0, 2)]
    assert pairs[0] == pairs[2]
    assert first.made == 3
    again = KeyPool(lambda: file, second)
    assert [again.at(place) for place in (0, 1, 0, 2)] == pairs
    assert again.known(2) == pairs[3]
    assert second.made == 0


def test_nobody_else_can_read_the_file(file: Path) -> None:
    KeyPool(lambda: file, Maker()).at(0)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_others_could_change_is_not_believed(file: Path) -> None:
    KeyPool(lambda: file, Maker()).at(0)
    file.chmod(0o644)
    maker = Maker()
    KeyPool(lambda: file, maker).at(0)
    assert maker.made == 1
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "{}",
        '[{"publicKey": 1}]',
        '[{"publicKey": "zz", "privateKey": "zz"}]',
        '[{"publicKey": "00", "privateKey": "00"}]',
        '[{"publicKey": null, "privateKey": null}]',
        "[1]",
    ],
)
def test_a_damaged_file_is_made_anew(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.touch(0o600)
    file.write_text(content)
    maker = Maker()
    pool = KeyPool(lambda: file, maker)
    pool.at(0)
    assert maker.made == 1
    assert KeyPool(lambda: file, Maker()).at(0) == pool.at(0)


def test_halves_that_do_not_belong_together_are_not_believed(file: Path) -> None:
    file.parent.mkdir()
    file.touch(0o600)
    file.write_text(json.dumps([entry(1, 1), entry(1, 2)]))
    maker = Maker()
    KeyPool(lambda: file, maker).at(1)
    assert maker.made == 2


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_something_else_of_its_name_is_not_read(
    file: Path, make: Callable[[Path, int], None]
) -> None:
    file.parent.mkdir()
    make(file, 0o700)
    maker = Maker()
    pool = KeyPool(lambda: file, maker)
    assert pool.at(0) == pool.at(0)
    assert maker.made == 1


def test_a_link_to_another_file_is_not_followed(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("[]")
    other.chmod(0o600)
    file.parent.mkdir()
    file.symlink_to(other)
    KeyPool(lambda: file, Maker()).at(0)
    assert other.read_text() == "[]"
    assert not file.is_symlink()


def test_it_works_where_nothing_can_be_kept(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    pool = KeyPool(lambda: blocked / "keys.json", Maker())
    assert pool.at(0) == pool.at(0)


def test_the_file_does_not_grow_for_ever(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_pool, "_MOST_KEPT", 2)
    maker = Maker()
    pool = KeyPool(lambda: file, maker)
    for place in range(4):
        pool.at(place)
    again = Maker()
    KeyPool(lambda: file, again).at(3)
    assert again.made == 2


def test_its_repr_shows_nothing(file: Path) -> None:
    pool = KeyPool(lambda: file, Maker())
    pool.at(0)
    assert repr(pool) == "<KeyPool>"
