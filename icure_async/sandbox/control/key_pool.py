"""Key pairs for the people that tests place: made once, and kept for the next run.

They are keys for tests: everybody who runs as the same user of this machine can read them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import platformdirs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async.models.key_pair import KeyPair
from icure_async.sandbox.master import generate_key_pair, key_pair_of
from icure_async.sandbox.shapes import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KEY_POOL", "KeyPool", "cache_file", "checked_pair"]

_LOGGER = logging.getLogger("icure_async.sandbox")
_MOST_KEPT: Final = 64
_OTHERS: Final = 0o077
_LEAST_BITS: Final = 2048


def cache_file() -> Path:
    """Return the file that keeps key pairs for the next run."""
    return Path(platformdirs.user_cache_dir("icure-async", appauthor=False)) / "sandbox-keys.json"


class KeyPool:
    """Key pairs, each at its place: the same place has the same pair in each sandbox.

    Args:
        file: returns the path of the file that keeps them; asked when the first one is needed.
        generate: makes one.
    """

    def __init__(
        self,
        file: Callable[[], Path] = cache_file,
        generate: Callable[[], KeyPair] = generate_key_pair,
    ) -> None:
        self._file = file
        self._generate = generate
        self._pairs: list[KeyPair] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "<KeyPool>"

    def known(self, place: int) -> KeyPair | None:
        """Return the pair at a place if that takes no time."""
        pairs = self._pairs
        return pairs[place] if pairs is not None and place < len(pairs) else None

    def at(self, place: int) -> KeyPair:
        """Return the pair at a place; reads the file, or makes one, where it has to."""
        with self._lock:
            if self._pairs is None:
                self._pairs = _read(self._file())
            pairs = self._pairs
            if place < len(pairs):
                return pairs[place]
            while len(pairs) <= place:
                pairs.append(self._generate())
            if place < _MOST_KEPT:
                _keep(self._file(), pairs[:_MOST_KEPT])
            return pairs[place]


def checked_pair(key_pair: KeyPair) -> KeyPair:
    """Return a key pair that somebody chose.

    Raises:
        TypeError: if it is no `KeyPair`.
        ValueError: if its halves are not those of one RSA key of 2048 bits or more, in hex.
    """
    if not isinstance(key_pair, KeyPair):
        raise TypeError(f"key_pair must be a KeyPair, not {type(key_pair).__name__}")
    if _public_half(key_pair.private_key) != key_pair.public_key.lower():
        raise ValueError(
            "key_pair must have the SPKI and the PKCS#8 of one RSA key of 2048 bits or more, in hex"
        )
    return key_pair


def _public_half(private_key: str, *, is_trusted: bool = False) -> str | None:
    """Return the public half of a private key, or None if it is no usable one."""
    try:
        loaded: Any = serialization.load_der_private_key(
            bytes.fromhex(private_key), password=None, unsafe_skip_rsa_key_validation=is_trusted
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(loaded, rsa.RSAPrivateKey) or loaded.key_size < _LEAST_BITS:
        return None
    return key_pair_of(loaded).public_key


KEY_POOL: Final = KeyPool()
"""The key pairs of this process."""


def _read(path: Path) -> list[KeyPair]:
    """Return the pairs in a file; none if it is not ours, others can read it, or it is damaged."""
    try:
        # A pipe would let everybody wait.
        flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, os.O_RDONLY | flags)
    except OSError:
        return []
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return []
    with os.fdopen(descriptor, "rb") as file:
        if os.name == "posix" and (status.st_mode & _OTHERS or status.st_uid != os.geteuid()):
            _LOGGER.warning("Others could read or change %s: it is made anew", path)
            return []
        try:
            content: Any = orjson.loads(file.read())
        except (orjson.JSONDecodeError, OSError):
            return []
    entries: list[Any] = content if is_list(content) else []
    pairs: list[KeyPair] = []
    for entry in entries[:_MOST_KEPT]:
        try:
            pairs.append(_pair_in(entry))
        except (KeyError, TypeError, ValueError):
            return []
    return pairs


def _pair_in(entry: Any) -> KeyPair:
    if not is_object(entry):
        raise TypeError("A key pair must be an object")
    public_key, private_key = entry["publicKey"], entry["privateKey"]
    # Its numbers are this user's own: to prove that they are prime would take seconds.
    half = _public_half(private_key, is_trusted=True)
    if half is None or half != public_key:
        raise ValueError("The halves of a key pair must belong together")
    return KeyPair(public_key=public_key, private_key=private_key)


def _keep(path: Path, pairs: list[KeyPair]) -> None:
    """Write the file, all of it or nothing; a program that can't has its own keys only."""
    content = orjson.dumps(
        [{"publicKey": pair.public_key, "privateKey": pair.private_key} for pair in pairs]
    )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made with the mode 0600.
        descriptor, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        _LOGGER.debug("Could not keep key pairs for the next run: %s", type(error).__name__)
