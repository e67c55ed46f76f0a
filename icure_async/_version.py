"""The version of both packages, and of the distribution that holds them."""

from typing import Final

__all__ = ["__version__"]

__version__: Final = "0.1.0"  # as in pyproject.toml
