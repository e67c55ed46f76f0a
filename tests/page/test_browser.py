"""Tests that need a browser, where there is none."""

from __future__ import annotations

import pytest

from tests.support import browser as support


@pytest.mark.parametrize("missing", ["chromium", "playwright"])
@pytest.mark.parametrize("is_required", [False, True])
async def test_what_is_missing_is_named_and_fails_only_where_a_browser_is_required(
    monkeypatch: pytest.MonkeyPatch, missing: str, is_required: bool
) -> None:
    monkeypatch.setenv("REQUIRE_BROWSER", "1" if is_required else "")
    if missing == "chromium":
        monkeypatch.setattr("shutil.which", lambda _name: None)
    else:
        monkeypatch.setattr(support, "expect", None)
        monkeypatch.setattr("shutil.which", lambda name: name)
    expected = pytest.fail.Exception if is_required else pytest.skip.Exception
    with pytest.raises(expected, match=f"{missing} is not installed"):
        async with support.running_browser():
            pass
