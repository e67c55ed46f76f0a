"""Pages from the HTML files in ``templates``: all that is put into one is escaped."""

from collections.abc import Iterable
from functools import cache
from html import escape
from pathlib import Path
from string import Template

from fastapi.responses import HTMLResponse

TEMPLATES = Path(__file__).parent / "templates"


class Html(str):
    """Text that is HTML already, as :func:`fragment` makes it."""

    __slots__ = ()


def fragment(template: str, **values: object) -> Html:
    """Return a template with its values in place, escaped unless they are HTML already."""
    safe = {
        name: value if isinstance(value, Html) else escape(str(value))
        for name, value in values.items()
    }
    return Html(_template(template).substitute(safe))


def joined(fragments: Iterable[Html]) -> Html:
    """Return fragments, one after the other."""
    return Html("\n".join(fragments))


def page(template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """Return the answer with a whole page."""
    content = fragment("layout", content=fragment(template, **values))
    return HTMLResponse(content, status)


@cache
def _template(name: str) -> Template:
    return Template((TEMPLATES / f"{name}.html").read_text("utf-8"))
