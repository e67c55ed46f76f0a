"""Blocking calls inside a coroutine: refused where they would wait for ever, and else warned of."""

from __future__ import annotations

import asyncio
import sys
import time
import types

import pytest

import icure_async.sandbox
from icure_async import BlockingCallWarning, cautions
from icure_sync import MedTechApiBuilder
from icure_sync.errors import ConfigurationError
from icure_sync.sandbox import Sandbox
from icure_sync.storage import FileStorage

pytestmark = pytest.mark.usefixtures("keys_made_once", "cheap_hashes")


@pytest.fixture(autouse=True)
def _not_told_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cautions, "given", set())


def builder_for(sandbox: Sandbox | icure_async.sandbox.Sandbox) -> MedTechApiBuilder:
    master = sandbox.master_hcp
    return (
        MedTechApiBuilder()
        .with_icure_base_url(sandbox.icure_url)
        .with_user_name(master.login)
        .with_password(master.password)
    )


async def test_a_call_that_holds_up_the_sandbox_that_is_to_answer_is_refused_at_once(
    tmp_path: object,
) -> None:
    async with icure_async.sandbox.Sandbox() as sandbox:
        with builder_for(sandbox).build() as api:
            began = time.monotonic()
            with pytest.raises(ConfigurationError, match="sandbox") as caught:
                api.user_api.get_logged_user()
            assert time.monotonic() - began < 5
            assert "asyncio.to_thread" in str(caught.value)
            with pytest.raises(ConfigurationError, match="sandbox"):
                next(api.notification_api.filter_notifications())
            # In a thread it is right, and what has no connection may block anywhere.
            user = await asyncio.to_thread(api.user_api.get_logged_user)
            assert user.login == sandbox.master_hcp.login
            assert FileStorage(str(tmp_path)).list_items() == []


async def test_a_call_that_holds_up_another_loop_is_warned_of_once() -> None:
    with Sandbox() as sandbox, builder_for(sandbox).build() as api:
        with pytest.warns(BlockingCallWarning, match="icure_async") as told:
            api.user_api.get_logged_user()
        assert told[0].filename == __file__
        assert api.user_api.get_logged_user().login == sandbox.master_hcp.login


async def test_a_notebook_is_not_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=object))
    with Sandbox() as sandbox, builder_for(sandbox).build() as api:
        assert api.user_api.get_logged_user().login == sandbox.master_hcp.login


def test_nothing_is_said_outside_of_coroutines() -> None:
    with Sandbox() as sandbox, builder_for(sandbox).build() as api:
        assert api.user_api.get_logged_user().login == sandbox.master_hcp.login
