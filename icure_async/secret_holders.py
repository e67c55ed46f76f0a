"""Objects with secrets, which stay in the program that made them."""

from __future__ import annotations

from typing import NoReturn, SupportsIndex

from icure_async.errors import ConfigurationError

__all__ = ["SecretHolder"]


class _SecretCopyError(ConfigurationError, TypeError):
    """A pickle or a copy was asked for. Python raises a TypeError then, so this is one, too."""


class SecretHolder:
    """Base of what holds keys, passphrases or tokens in clear: it is neither pickled nor copied.

    A pickle would show them to everybody who finds the file, the cache or the queue it is in.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        name = type(self).__name__
        raise _SecretCopyError(
            f"This {name} holds secrets in clear, and is neither pickled nor copied: make another "
            "one where it is needed."
        )
