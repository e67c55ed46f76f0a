"""Every warning the SDK gives by way of :mod:`warnings`: what works, and had better be changed."""

from __future__ import annotations

__all__ = ["BlockingCallWarning", "InsecureConnectionWarning", "KeysInMemoryWarning"]


class BlockingCallWarning(UserWarning):
    """A blocking call of ``icure_sync`` holds up an event loop. Given once per process.

    Not in notebooks, where it holds up nothing.
    """


class InsecureConnectionWarning(UserWarning):
    """A URL begins with ``http://``, and its host is not this machine. Given once per process."""


class KeysInMemoryWarning(UserWarning):
    """A key pair is about to be published that is lost when the program ends.

    Given once per process. ``with_storage_directory()`` keeps keys in files;
    ``with_in_memory_keys()`` says that memory is meant.
    """
