"""Sphinx's configuration: ``sphinx-build -W --keep-going -n docs build/docs``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from icure_async import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent

project = "iCure SDK for Python"
author = "The authors of icure-async"
release = version = __version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_design",
]
exclude_patterns = ["spec", "build"]

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"iCure SDK for Python {release}"
html_show_sphinx = False


def _without_missing_pages(_: Sphinx, name: str, content: list[str]) -> None:
    """Leave pages out of the index that are not written yet."""
    if name == "index":
        entry = re.compile(r"^[a-z/-]+$", re.MULTILINE)
        content[0] = entry.sub(
            lambda found: found[0] if (HERE / f"{found[0]}.md").exists() else "", content[0]
        )


def setup(app: Sphinx) -> None:
    """Connect the handlers."""
    app.connect("source-read", _without_missing_pages)
