"""The serving of the page: its headers, its files, and nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from icure_async.sandbox import Fault, Sandbox
from icure_async.sandbox.page_files import page_files


@pytest.fixture
async def running(keys_made_once: None) -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def http(running: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(running.backend_url) as session:
        yield session


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/page/style.css"])
async def test_the_page_may_load_nothing_of_others_and_be_framed_by_nobody(
    http: aiohttp.ClientSession, path: str
) -> None:
    async with http.get(path) as answer:
        assert answer.status == 200
        headers = answer.headers
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ):
        assert part in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_the_page_itself_is_not_cached_and_its_files_are_asked_for_again(
    http: aiohttp.ClientSession,
) -> None:
    async with http.get("/") as answer:
        assert answer.headers["Cache-Control"] == "no-store"
    async with http.get("/page/page.js") as answer:
        assert answer.headers["Cache-Control"] == "no-cache"
        tag = answer.headers["ETag"]
    async with http.get("/page/page.js", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
        assert await answer.read() == b""
    async with http.get("/page/page.js", headers={"If-None-Match": '"another"'}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "path",
    ["/page/", "/page/index.html", "/page/nothing.js", "/page/../app.py", "/page/%2e%2e/app.py"],
)
async def test_nothing_but_the_files_of_the_page_is_served(
    http: aiohttp.ClientSession, path: str
) -> None:
    from yarl import URL

    async with http.get(URL(path, encoded=True)) as answer:
        assert answer.status == 404


async def test_no_fault_strikes_the_page_and_no_request_for_it_is_noted(
    running: Sandbox, http: aiohttp.ClientSession
) -> None:
    running.inject_fault(Fault("status", status=500))
    for path in ("/", "/page/page.js"):
        async with http.get(path) as answer:
            assert answer.status == 200
    assert running.requests() == []


async def test_the_page_is_for_the_sandbox_own_names_only(http: aiohttp.ClientSession) -> None:
    async with http.get("/", headers={"Host": "evil.example"}) as answer:
        assert answer.status == 421


def test_the_page_loads_all_its_modules_at_once_and_nothing_of_others() -> None:
    files = page_files()
    index = files["index.html"].body.decode()
    loaded = set(re.findall(r'(?:href|src)="/page/([^"]+)"', index))
    assert loaded == files.keys() - {"index.html"}
    for name, file in files.items():
        text = file.body.decode()
        addresses = set(re.findall(r"https?://[^\s\"'`<]+", text))
        assert addresses <= {"http://127.0.0.1:16044/#…", "http://www.w3.org/2000/svg"}, name


def test_no_module_reads_data_as_html_or_keeps_anything_on_disk() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|"
        r"DOMParser|localStorage|indexedDB|document\.cookie"
    )
    modules = {name: file for name, file in page_files().items() if name.endswith(".js")}
    assert len(modules) > 10
    for name, file in modules.items():
        assert forbidden.search(file.body.decode()) is None, name


def test_the_picture_of_the_page_is_small_enough_for_everybody_who_opens_the_readme() -> None:
    picture = Path(__file__).parents[2] / "docs" / "images" / "sandbox-page.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 200_000
