"""Steps that several of the tests take with our SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tests.support.builders import anonymous_builder_for, builder_for
from tests.support.reference_steps import CODE_TIMEOUT

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from icure_async import AnonymousMedTechApi, AuthenticationResult, BatchResult, MedTechApi
    from icure_async.models.base import EntityModel
    from icure_async.sandbox import Sandbox

    Record = TypeVar("Record", bound=EntityModel)


def anonymous_sdk(
    sandbox: Sandbox, *, professional: bool = False
) -> AbstractAsyncContextManager[AnonymousMedTechApi]:
    """Our SDK before anybody is logged in."""
    return anonymous_builder_for(sandbox, professional=professional).build()


async def register_with_sdk(
    sandbox: Sandbox,
    phone: str,
    *,
    first_name: str = "Ned",
    last_name: str = "Stark",
    professional: bool = False,
) -> AuthenticationResult:
    """Register with our SDK by SMS."""
    async with anonymous_sdk(sandbox, professional=professional) as anonymous_api:
        process = await anonymous_api.authentication_api.start_authentication(
            "captcha",
            phone_number=phone,
            first_name=first_name,
            last_name=last_name,
            healthcare_professional_id=sandbox.master_hcp.data_owner_id,
        )
        code = await sandbox.wait_for_code(phone, timeout=CODE_TIMEOUT)
        return await anonymous_api.authentication_api.complete_authentication(process, code)


def sdk(sandbox: Sandbox, login: str, password: str) -> AbstractAsyncContextManager[MedTechApi]:
    """Our SDK as a known user."""
    return builder_for(sandbox.icure_url, login, password).build()


def saved(result: BatchResult[Record]) -> list[Record]:
    """Return the records of a batch, all of which must have been saved."""
    result.raise_for_failures()
    return result.saved
