"""The first login of an invited person, with the token of the invitation (wire-protocol.md §6.13).

It is a completion without a gateway: the token serves as a code that needs no validation. So it is
as safe to repeat, also where the token has expired since.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from typing import TYPE_CHECKING, Final

from icure_async.authentication.completion import Completer
from icure_async.authentication.process import AuthenticationProcess, AuthenticationState
from icure_async.errors import AuthenticationError, ValidationError
from icure_async.models.contacts import clean_contact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from icure_async.authentication.completion import Options
    from icure_async.authentication.progress import Progress, ProgressStore
    from icure_async.medtech import MedTechApi
    from icure_async.models.access_request import AccessRequest
    from icure_async.models.key_pair import KeyPair
    from icure_async.rest.message_gateway import MessageGateway
    from icure_async.rest.session import Session

__all__ = ["FirstLogin", "process_of_invitation"]

_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_PURPOSE: Final = b"icure.invitation"


class FirstLogin(Completer):
    """Logs in those who were invited, and asks for access to their data."""

    def __init__(
        self,
        gateway: MessageGateway,
        *,
        progress: ProgressStore,
        clock: Callable[[], float],
        open_session: Callable[[str, str], Session],
        open_api: Callable[[str, str, int], MedTechApi],
        start_invited: Callable[
            [MedTechApi, Options], Awaitable[tuple[list[KeyPair], list[AccessRequest]]]
        ],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        super().__init__(
            gateway,
            progress=progress,
            clock=clock,
            open_session=open_session,
            open_api=open_api,
            sleep=sleep,
        )
        self._start_invited = start_invited

    async def _sign_in(
        self,
        process: AuthenticationProcess,
        code: str,
        progress: Progress,
        *,
        may_be_used: bool,  # noqa: ARG002
    ) -> tuple[Session, str]:
        """Log in with the token of the invitation as the password; it may be used many times."""
        signed_in = await self._log_in(process.login, code, is_fresh=False)
        if signed_in is not None:
            return signed_in
        await self._progress.code_refused(process.request_id, progress, code)
        raise AuthenticationError(
            "Could not log in: the login or the token of the invitation is refused. It may be "
            "mistyped, or have expired: check both, or have the professional invite the patient "
            "again. A person who has logged in before gets in with start_authentication()."
        )

    async def _start_keys(
        self, api: MedTechApi, options: Options
    ) -> tuple[list[KeyPair], list[AccessRequest]]:
        """Put the user's key pairs to use, and ask for access."""
        return await self._start_invited(api, options)


def process_of_invitation(login: object, token: object) -> tuple[AuthenticationProcess, str]:
    """Return the process that stands for a first login, and the token without blanks.

    Raises:
        ValidationError: an argument is malformed.
    """
    if not isinstance(login, str) or not clean_contact(login):
        raise ValidationError("The login must be a text: the one in the message of the invitation.")
    secret = _without_blanks(token) if isinstance(token, str) else ""
    if not secret:
        raise ValidationError("The token must be a text: the one in the message of the invitation.")
    name = clean_contact(login)
    # Nobody learns the token from the name under which the progress is kept.
    digest = hmac.digest(
        secret.encode("utf-8", "surrogatepass"),
        _PURPOSE + name.encode("utf-8", "surrogatepass"),
        hashlib.sha256,
    )
    process = AuthenticationProcess(
        request_id=str(uuid.UUID(bytes=digest[:16])),
        login=name,
        state=AuthenticationState.CODE_SENT,
        channel="email" if "@" in name else "sms",
    )
    return process, secret


def _without_blanks(token: str) -> str:
    """Return a token without the blanks around it, and those that a mail has put into it."""
    # Other backends may have tokens of other forms, in which blanks count.
    compact = "".join(token.split())
    return compact if _UUID.fullmatch(compact) else token.strip()
