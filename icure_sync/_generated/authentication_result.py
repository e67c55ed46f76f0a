# Written by "python tools/gen_sync.py" from icure_async/authentication/result.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""The result of a completed authentication."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import attrs

from icure_async.mistakes import explained
from icure_sync._generated import medtech as _medtech

if TYPE_CHECKING:
    from icure_async.authentication.process import AuthenticationProcess
    from icure_async.authentication.result import AuthenticationResult as AsyncAuthenticationResult
    from icure_async.models.access_request import AccessRequest
    from icure_async.models.key_change import KeyPairUpdateNotice
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.public_key import PublicKey
    from icure_sync._generated.medtech import MedTechApi

__all__ = ["AuthenticationResult"]


@explained
@attrs.frozen(kw_only=True)
class AuthenticationResult:
    """The logged-in user, ready to work.

    Attributes:
        med_tech_api: in the user's name, with the gateway settings of the API it came from. It
            lives on when that one is closed, and is closed with ``close()``.
        user_id: id of the user.
        login: the user name to log in with later: the normalised email address or phone number.
        group_id: id of the user's group, where the backend tells it.
        data_owner_id: id of the data owner the user is: the patient or the healthcare professional.
        token: the long-lived token: a password for :class:`~icure_sync.MedTechApiBuilder`. Never
            in a repr. Anybody who has it is the user: keep it as safe as a password.
        token_expires_at: when the token ends, in epoch milliseconds, as the backend says.
        key_pairs: the user's key pairs in use. Never in a repr. They are in the key storage
            already; a user who loses all of them loses the records encrypted for them.
        key_notices: what became of the notifications about a new key pair, recipient by recipient;
            empty unless this login has published one next to others.
            ``med_tech_api.data_owner_api.notify_key_pair_update()`` sends them again.
        unknown_public_keys: published for the user, and neither on this device nor confirmed by
            the policy: those of other devices, of lost ones, or of an attacker.
        access_requests: who was asked for access to the data of an invited patient; empty unless
            this was ``authenticate_and_ask_access_to_its_existing_data()``.
        warnings: what somebody should know about this login, in plain sentences; empty for nothing.
            No call failed because of it. For example that nobody is there to share with.
        process: the process, completed.
    """

    med_tech_api: MedTechApi
    user_id: str
    login: str
    group_id: str | None
    data_owner_id: str
    token: str = attrs.field(repr=False)
    token_expires_at: int
    key_pairs: list[KeyPair] = attrs.field(repr=False)
    key_notices: list[KeyPairUpdateNotice]
    unknown_public_keys: list[PublicKey]
    access_requests: list[AccessRequest] = attrs.field(factory=list["AccessRequest"])
    warnings: list[str]
    process: AuthenticationProcess

    @classmethod
    def _wrap(cls, inner: AsyncAuthenticationResult) -> Self:
        return cls(
            med_tech_api=_medtech.MedTechApi._wrap(inner.med_tech_api),
            user_id=inner.user_id,
            login=inner.login,
            group_id=inner.group_id,
            data_owner_id=inner.data_owner_id,
            token=inner.token,
            token_expires_at=inner.token_expires_at,
            key_pairs=inner.key_pairs,
            key_notices=inner.key_notices,
            unknown_public_keys=inner.unknown_public_keys,
            access_requests=inner.access_requests,
            warnings=inner.warnings,
            process=inner.process,
        )
