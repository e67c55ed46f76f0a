"""Codes as passwords in today's flavour: the pauses while an account is not there yet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from icure_async import AnonymousMedTechApi, AnonymousMedTechApiBuilder
from icure_async.errors import CodeExpiredError
from icure_async.sandbox import Fault, Sandbox
from tests.support.logins import start
from tests.support.request_log import RequestLog

LOGIN = "POST /rest/v2/auth/login"


def without_waiting(api: AnonymousMedTechApi) -> list[float]:
    """Spare an API object its pauses; return the list that they go into."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    api.authentication_api._completer._sleep = sleep
    return waited


def refused(times: int) -> Fault:
    return Fault(path="*/auth/login", kind="status", status=401, nth=range(1, times + 1))


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_a_fresh_code_is_tried_again_after_growing_pauses(
    times: int,
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    sandbox: Sandbox,
    requests: RequestLog,
) -> None:
    async with anonymous_builder().with_flavour("cardinal").build() as anonymous:
        pauses = without_waiting(anonymous)
        process, code = await start(anonymous, sandbox)
        requests.take()
        if times:
            sandbox.inject_fault(refused(times))

        result = await anonymous.authentication_api.complete_authentication(process, code)

        await result.med_tech_api.aclose()
    assert pauses == [0.1, 0.5, 1.0][:times]
    assert requests.take()[1 : times + 2] == [LOGIN] * (times + 1)


async def test_after_four_refusals_the_account_may_yet_appear(
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    sandbox: Sandbox,
    requests: RequestLog,
) -> None:
    async with anonymous_builder().with_flavour("cardinal").build() as anonymous:
        pauses = without_waiting(anonymous)
        process, code = await start(anonymous, sandbox)
        requests.take()
        sandbox.inject_fault(refused(4))
        with pytest.raises(CodeExpiredError) as caught:
            await anonymous.authentication_api.complete_authentication(process, code)
        assert code not in str(caught.value)
        assert requests.take()[1:] == [LOGIN] * 4
        assert pauses == [0.1, 0.5, 1.0]

        result = await anonymous.authentication_api.complete_authentication(process, code)
        assert result.user_id
        assert result.group_id == "sandbox"
        await result.med_tech_api.aclose()
