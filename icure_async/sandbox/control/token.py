"""The token that opens the sandbox's own API to its page."""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Final

from icure_async.sandbox.auth import authenticate
from icure_async.sandbox.calls import Call, Caller
from icure_async.sandbox.errors import forbidden, unauthorized
from icure_async.sandbox.store import MAIN_GROUP

if TYPE_CHECKING:
    from icure_async.sandbox.store import Transaction

__all__ = ["ControlToken"]

_SCHEME: Final = "sandbox"
_ADMINISTRATOR: Final = Caller(
    user={"id": ""}, owner_id=None, owner_type=None, ancestors=(), is_admin=True
)


class ControlToken:
    """A random token, in memory only, that is an administrator's credential for ``/sandbox``."""

    def __init__(self) -> None:
        self._secret = secrets.token_urlsafe(32)

    def __repr__(self) -> str:
        return "<ControlToken>"

    def reveal(self) -> str:
        """Return the token itself."""
        return self._secret

    def admit(self, tx: Transaction, call: Call) -> Caller:
        """Return the caller of the sandbox's own API.

        Raises:
            ApiError: 401 without good credentials, 403 for those of anybody but an administrator
                of the main group.
        """
        scheme, _, given = call.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == _SCHEME:
            if hmac.compare_digest(
                given.strip().encode("utf-8", "surrogateescape"), self._secret.encode()
            ):
                return _ADMINISTRATOR
            raise unauthorized(
                "This is not the token of the running sandbox: each start makes another one. Open "
                "the page by the URL that the sandbox has printed"
            )
        caller = authenticate(tx, call)
        if not caller.is_admin or caller.group_id != tx.in_row_group(MAIN_GROUP).group_id:
            raise forbidden("Only an administrator of the sandbox may do this: its master is one")
        return caller
