"""The files of the sandbox's page, which shows codes, data and requests in a browser.

The page is on the same origin as the API, so that no page of another origin may call it. It may
load nothing but these files, talk to nobody but the sandbox, and never be part of another page.
"""

from __future__ import annotations

import functools
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import attrs
from aiohttp import hdrs, web

from icure_async.sandbox.workers import in_new_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

__all__ = ["add_page", "page_files"]

_PAGE_ROOT: Final = "/page"

_INDEX: Final = "index.html"
_TYPES: Final = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@attrs.frozen
class PageFile:
    """A file of the page, as it is sent."""

    content_type: str
    body: bytes
    tag: str


@functools.cache
def page_files() -> dict[str, PageFile]:
    """Return the files of the page by their names, with slashes where they are in a folder."""
    folder = files("icure_async.sandbox") / "page"
    return {
        name: PageFile(_TYPES[kind], body := path.read_bytes(), hashlib.sha256(body).hexdigest())
        for name, path in _walk(folder, "")
        if (kind := name.rpartition(".")[2]) in _TYPES
    }


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for path in folder.iterdir():
        if path.is_dir():
            yield from _walk(path, f"{prefix}{path.name}/")
        else:
            yield prefix + path.name, path


async def _read() -> dict[str, PageFile]:
    is_read = page_files.cache_info().currsize > 0
    return page_files() if is_read else await in_new_thread(page_files)


def add_page(app: web.Application) -> None:
    """Serve the page at ``/``, and the files that it loads under ``/page/``."""
    app.router.add_get("/", _index)
    app.router.add_get(f"{_PAGE_ROOT}/{{name:.+}}", _file)


async def _index(_request: web.Request) -> web.Response:
    index = (await _read())[_INDEX]
    return _answer(index, {hdrs.CACHE_CONTROL: "no-store"})


async def _file(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    file = (await _read()).get(name)
    if file is None or name == _INDEX:
        raise web.HTTPNotFound(reason="The page has no such file")
    # A browser asks each time whether the file is still the same: the sandbox may be a newer one.
    headers: dict[str, str] = {hdrs.CACHE_CONTROL: "no-cache", hdrs.ETAG: f'"{file.tag}"'}
    if any(tag.value == file.tag for tag in request.if_none_match or ()):
        return web.Response(status=304, headers={**_HEADERS, **headers})
    return _answer(file, headers)


def _answer(file: PageFile, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        body=file.body,
        content_type=file.content_type,
        charset="utf-8",
        headers={**_HEADERS, **headers},
    )
