"""Every warning the SDK gives by way of :mod:`warnings`: what works, and had better be changed."""

from __future__ import annotations

__all__ = ["InsecureConnectionWarning"]


class InsecureConnectionWarning(UserWarning):
    """A URL begins with ``http://``, and its host is not this machine. Given once per process."""
