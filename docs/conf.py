"""Sphinx's configuration: ``sphinx-build -W --keep-going -n docs build/docs``."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from icure_async import __version__

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.domains.python import PythonDomain
    from sphinx.environment import BuildEnvironment

HERE: Final = Path(__file__).parent

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

autodoc_default_options = {"members": True, "inherited-members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
autodoc_inherit_docstrings = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 88

# A class is found under its public name and under that of its module; both lead to one place.
suppress_warnings = ["ref.python"]
# Types of annotations that are described in words where they are used, and type variables.
nitpick_ignore_regex = [
    (
        "py:(class|obj)",
        (
            r"(.*\.)?(A|RecordT|Json|Leaf|Building|StoredKey|ScryptCost|Protection|Model|CaptchaType|OaepHash"
            r"|SecondFactorAlgorithm|SandboxFlavour|PersonKind|ClosableIterator)"
        ),
    ),
]

html_theme = "furo"
html_title = f"iCure SDK for Python {release}"
html_static_path = ["_static"]
html_js_files = ["tabs.js"]
html_show_sphinx = False

# Modules whose names annotations use as they are.
FOREIGN: Final = (
    "builtins",
    "typing",
    "collections.abc",
    "contextlib",
    "datetime",
    "enum",
    "os",
    "pathlib",
    "ssl",
    "types",
    "aiohttp",
)


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.Node | None:
    """Find a name that a docstring or an annotation of another module uses without its module."""
    if node.get("refdomain") != "py":
        return None
    target = str(node["reftarget"])
    domain = cast("PythonDomain", env.get_domain("py"))
    for candidate in _candidates(target, str(node.get("py:module") or "icure_async")):
        if candidate in domain.objects:
            entry = domain.objects[candidate]
            refuri = app.builder.get_relative_uri(str(node["refdoc"]), entry.docname)
            return _reference(f"{refuri}#{entry.node_id}", content, candidate)
    # Attributes of values are listed in the description of their class.
    is_attribute = node.get("reftype") == "attr"
    return content if is_attribute or _is_foreign(target) else None


def _reference(uri: str, content: nodes.Element, title: str) -> nodes.Node:
    from docutils import nodes

    return nodes.reference("", "", content, internal=True, refuri=uri, reftitle=title)


def _candidates(target: str, module: str) -> list[str]:
    names = target.split(".")
    package = module.partition(".")[0]
    tails = [".".join(names[-length:]) for length in (2, 1)]
    places = [
        f"{each}{place}" for each in (package, "icure_async", "icure_sync") for place in PLACES
    ]
    return [f"{place}.{tail}" for tail in tails for place in places]


PLACES: Final = (
    "",
    ".storage",
    ".errors",
    ".sandbox",
    ".services",
    ".hooks",
    ".testing",
    ".models.base",
)


def _is_foreign(target: str) -> bool:
    module, _, name = target.rpartition(".")
    homes = (module,) if module in FOREIGN else FOREIGN
    return any(hasattr(importlib.import_module(home), name) for home in homes)


# Nobody constructs these: the builders do.
MADE_BY_BUILDERS: Final = re.compile(r"\.(\w*Api|Subscription|Storage)$")


def _without_constructor(
    _: Sphinx, what: str, name: str, *_others: object
) -> tuple[str, None] | None:
    """Leave out the arguments of classes that users get from others."""
    is_made = what == "class" and MADE_BY_BUILDERS.search(name)
    return ("", None) if is_made else None


def _keep_colons(
    _: Sphinx, what: str, _name: str, _thing: object, _options: object, lines: list[str]
) -> None:
    """Break a line before a colon, which napoleon would take for the end of a type."""
    typed = [index + 1 for index, line in enumerate(lines[:-1]) if line.strip() == "Returns:"]
    for index in [0] if what in ("attribute", "property") and lines else typed:
        words, colon, _rest = lines[index].partition(": ")
        if colon:
            begin = words.rpartition(" ")[0]
            indent = " " * (len(words) - len(words.lstrip()))
            lines[index : index + 1] = [begin, indent + lines[index][len(begin) :].lstrip()]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the handlers."""
    app.connect("missing-reference", _resolve)
    app.connect("autodoc-process-signature", _without_constructor)
    # Before napoleon.
    app.connect("autodoc-process-docstring", _keep_colons, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
