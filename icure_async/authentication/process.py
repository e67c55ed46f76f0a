"""The authentication process as a value, and its one transition table. Pure: no input or output.

A process goes to JSON and back, holds neither a code nor a key, and may be completed in another
program, on another machine or with another package than it was started with.
"""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Any, Final, get_args

import attrs

from icure_async.errors import ProcessStateError, ValidationError
from icure_async.json_shapes import parse_json_object
from icure_async.mistakes import explained
from icure_async.models.contact_choice import Channel
from icure_async.models.flavour import FLAVOURS, Flavour

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "TRANSITIONS",
    "AuthenticationEvent",
    "AuthenticationProcess",
    "AuthenticationState",
    "Channel",
    "advance",
    "impossible",
]

_VERSION: Final = 1
_FLAVOUR_OF_ALL_BEFORE: Final[Flavour] = "medtech"


class AuthenticationState(enum.StrEnum):
    """The state of a process.

    It does not change while ``complete_authentication`` runs: if a run is interrupted, the next one
    is given the same process again.
    """

    NEW = "new"
    """Nothing was sent yet."""
    CODE_SENT = "codeSent"
    """The gateway has sent a code; the person may enter it."""
    COMPLETED = "completed"
    """The key pair is in use; nothing is left to do."""
    REFUSED = "refused"
    """The captcha was refused; nothing was sent."""
    EXPIRED = "expired"
    """The code is too old or was used up."""
    LOCKED = "locked"
    """Too many wrong codes were tried."""
    UNKNOWN = "unknown"
    """The gateway does not know the process."""
    SUPERSEDED = "superseded"
    """Another code was asked for, with a process of its own."""

    @classmethod
    def _missing_(cls, value: object) -> AuthenticationState | None:
        # Steps of a completion, which were states once: it begins with the code again.
        return cls.CODE_SENT if value in ("validated", "signedIn", "authorised") else None


class AuthenticationEvent(enum.StrEnum):
    """An event in the life of a process."""

    CODE_SENT = "codeSent"
    CAPTCHA_REFUSED = "captchaRefused"
    CODE_REFUSED = "codeRefused"
    CODE_EXPIRED = "codeExpired"
    PROCESS_UNKNOWN = "processUnknown"
    TOO_MANY_ATTEMPTS = "tooManyAttempts"
    COMPLETED = "completed"
    RESENT = "resent"


_State = AuthenticationState
_Event = AuthenticationEvent

TRANSITIONS: Final[
    Mapping[tuple[AuthenticationState, AuthenticationEvent], AuthenticationState]
] = {
    (_State.NEW, _Event.CODE_SENT): _State.CODE_SENT,
    (_State.NEW, _Event.CAPTCHA_REFUSED): _State.REFUSED,
    (_State.NEW, _Event.PROCESS_UNKNOWN): _State.UNKNOWN,
    # A wrong code leaves the process as it is: the person tries again.
    (_State.CODE_SENT, _Event.CODE_REFUSED): _State.CODE_SENT,
    (_State.CODE_SENT, _Event.CODE_EXPIRED): _State.EXPIRED,
    (_State.CODE_SENT, _Event.PROCESS_UNKNOWN): _State.UNKNOWN,
    (_State.CODE_SENT, _Event.TOO_MANY_ATTEMPTS): _State.LOCKED,
    (_State.CODE_SENT, _Event.COMPLETED): _State.COMPLETED,
    # Another code can be asked for as long as the process is not completed.
    (_State.CODE_SENT, _Event.RESENT): _State.SUPERSEDED,
    (_State.EXPIRED, _Event.RESENT): _State.SUPERSEDED,
    (_State.LOCKED, _Event.RESENT): _State.SUPERSEDED,
    (_State.UNKNOWN, _Event.RESENT): _State.SUPERSEDED,
    (_State.REFUSED, _Event.RESENT): _State.SUPERSEDED,
}
"""(state, event) → state. Nothing else can happen."""

_RESEND_OR_NEW: Final = "Ask for another code with resend(), or start a new process."

_ADVICE: Final[Mapping[AuthenticationState, str]] = {
    _State.NEW: "Start a process with start_authentication().",
    _State.CODE_SENT: "Complete it with the code that was sent.",
    _State.COMPLETED: "It is over: log in with the token it gave, or start a new process.",
    _State.REFUSED: _RESEND_OR_NEW,
    _State.EXPIRED: _RESEND_OR_NEW,
    _State.LOCKED: _RESEND_OR_NEW,
    _State.UNKNOWN: _RESEND_OR_NEW,
    _State.SUPERSEDED: "Complete the process that resend() returned instead.",
}


@explained
@attrs.frozen(kw_only=True)
class AuthenticationProcess:
    """A registration or login under way.

    Attributes:
        request_id: names the process at the message gateway (UUID).
        login: the user name that will log in: the normalised email address or phone number.
        bypass_token_check: go on although the gateway refuses the code (for demonstration users
            whose code is fixed). It never covers up a network failure.
        state: where the process stands.
        channel: how the code is sent.
        process_id: the gateway's process definition.
        email: normalised, or None.
        phone_number: in E.164, or None.
        first_name: of the person, for a registration.
        last_name: of the person, for a registration.
        healthcare_professional_id: the data owner who invites the person, or None.
        validation_code_length: digits of the code.
        started_at: epoch milliseconds at which the code was asked for.
        wrong_codes: how many wrong codes were tried, as far as this value knows.
        flavour: of the API object that has started it; one of the same flavour completes it.

    Example:
        >>> AuthenticationProcess.from_json(process.to_json()).login == process.login
        True
    """

    request_id: str
    login: str
    bypass_token_check: bool = False
    state: AuthenticationState = AuthenticationState.NEW
    channel: Channel = "sms"
    process_id: str = ""
    email: str | None = None
    phone_number: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    healthcare_professional_id: str | None = None
    validation_code_length: int = 6
    started_at: int = 0
    wrong_codes: int = 0
    flavour: Flavour = "medtech"

    def __repr__(self) -> str:
        return f"AuthenticationProcess(request_id={self.request_id!r}, state={self.state.value!r})"

    def to_dict(self) -> dict[str, str | bool]:
        """Return the three members that the reference documentation prints.

        Example:
            >>> sorted(process.to_dict())
            ['bypassTokenCheck', 'login', 'requestId']
        """
        return {
            "requestId": self.request_id,
            "login": self.login,
            "bypassTokenCheck": self.bypass_token_check,
        }

    def to_json(self) -> str:
        """Return the whole state as JSON, with a version. It holds no code and no key.

        Example:
            >>> AuthenticationProcess.from_json(process.to_json()) == process
            True
        """
        members = attrs.asdict(self) | {"state": self.state.value}
        if self.flavour == _FLAVOUR_OF_ALL_BEFORE:
            # As earlier versions wrote and read it; those refuse a process of today's flavour.
            del members["flavour"]
        return json.dumps({"version": _VERSION} | members, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> AuthenticationProcess:
        """Return the process that :meth:`to_json` wrote.

        Raises:
            ValidationError: it is not such a text, or was written by a newer SDK.

        Example:
            >>> kept = process.to_json()  # in a database, say
            >>> AuthenticationProcess.from_json(kept).login == process.login
            True
        """
        members = parse_json_object(text)
        if members is None or "version" not in members:
            raise ValidationError(
                "This is not a saved authentication process: pass what to_json() returned."
            )
        version = members.pop("version")
        if type(version) is not int or version != _VERSION:
            raise ValidationError(
                "This authentication process was saved by another version of the SDK: update the "
                "SDK, or start a new process."
            )
        return _from_members(members)


def impossible(process: AuthenticationProcess, step: str) -> ProcessStateError:
    """Return the error for a step that the state of a process does not allow."""
    return ProcessStateError(
        f"The authentication process is in state {process.state.value!r}, in which {step} is "
        f"impossible. {_ADVICE[process.state]}",
        process=process,
    )


def advance(process: AuthenticationProcess, event: AuthenticationEvent) -> AuthenticationProcess:
    """Return the process after an event.

    Raises:
        ProcessStateError: the event can't happen in this state.
    """
    target = TRANSITIONS.get((process.state, event))
    if target is None:
        raise impossible(process, repr(event.value))
    wrong_codes = process.wrong_codes + (event is AuthenticationEvent.CODE_REFUSED)
    return attrs.evolve(process, state=target, wrong_codes=wrong_codes)


def _from_members(members: Mapping[str, Any]) -> AuthenticationProcess:
    members = {"flavour": _FLAVOUR_OF_ALL_BEFORE, **members}
    fields = {field.name: field for field in attrs.fields(AuthenticationProcess)}
    for name, value in members.items():
        # Exactly these types: a bool is an int, too.
        if name not in fields or type(value) not in _types_of(fields[name].default):
            raise ValidationError(
                "The saved authentication process has a member that is malformed or unknown: pass "
                "what to_json() returned."
            )
    if members.keys() != fields.keys():
        missing = ", ".join(fields.keys() - members.keys())
        raise ValidationError(
            f"The saved authentication process lacks {missing}: pass what to_json() returned."
        )
    try:
        state = AuthenticationState(members["state"])
    except ValueError:
        state = None
    if state is None:
        raise ValidationError("The saved authentication process is in an unknown state.")
    if members["channel"] not in get_args(Channel):
        raise ValidationError("The saved authentication process names an unknown channel.")
    if members["flavour"] not in FLAVOURS:
        raise ValidationError(
            "The saved authentication process is of a flavour that this version of the SDK does "
            "not know: update the SDK, or start a new process."
        )
    checked: dict[str, Any] = {**members, "state": state}
    return AuthenticationProcess(**checked)


def _types_of(default: object) -> tuple[type, ...]:
    if default is None:
        return (str, type(None))
    return (type(default),) if isinstance(default, int) else (str,)
