"""The message gateway: sends messages and validation codes. Source: wire-protocol.md §4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeGuard

import attrs

from icure_async.json_shapes import is_list
from icure_async.rest.transport import Request, Transport
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.rest.responses import Response

__all__ = ["Challenge", "MessageGateway"]

_MOST_SALTS: Final = 64
_LONGEST_TEXT: Final = 1000
# About fifteen seconds in pure Python.
_MOST_WORK: Final = 20_000_000
_ANOTHER_CAPTCHA: Final = (
    "check with_msg_gw_url(), or let the person solve a captcha of another type"
)


@attrs.frozen
class Challenge:
    """A captcha by proof of work (today.md §15), small enough to be solved.

    Attributes:
        id: names it at the gateway.
        salts: a nonce is wanted for each.
        difficulty_factor: how many numbers have to be tried for a nonce, on average.
    """

    id: str
    salts: tuple[str, ...]
    difficulty_factor: int


class MessageGateway:
    """The gateway's calls. Those of an authentication process need no credentials.

    Args:
        transport: sends the requests.
        url: of the gateway, without trailing slash.
        spec_id: names the application at the gateway.

    Attributes:
        spec_id: as given.
    """

    def __init__(self, transport: Transport, *, url: str, spec_id: str) -> None:
        self.spec_id: Final = spec_id
        self._transport = transport
        self._base_url = url + path(spec_id)

    async def challenge(self) -> Challenge:
        """Return a new challenge, which serves once.

        Raises:
            BackendError: refused; or no challenge, or one that would take too long.
            NetworkError: no answer.
        """
        response = await self._transport.send(
            Request(
                action="ask for a captcha",
                method="GET",
                url=self._base_url + path("challenge"),
                headers={"Accept": "application/json"},
                repeatable=True,
            )
        )
        return _checked_challenge(response)

    async def start_process(
        self, process_id: str, request_id: str, body: Mapping[str, object], *, code_length: int
    ) -> None:
        """Have a validation code sent.

        Raises:
            BackendError: refused; ``status`` tells why.
            NetworkError: no answer.
        """
        # Not repeatable: a second request would send a second message.
        response = await self._transport.send(
            Request(
                action="start the authentication process",
                method="POST",
                url=f"{self._base_url}{path('process', process_id, request_id)}"
                f"?codeLength={code_length}",
                body=dict(body),
            )
        )
        _check(response)

    async def validate_code(self, request_id: str, validation_code: str) -> None:
        """Check a validation code.

        Raises:
            BackendError: refused; ``status`` tells why.
            NetworkError: no answer.
        """
        # A code serves once, and a wrong one counts.
        response = await self._transport.send(
            Request(
                action="validate the code",
                method="GET",
                url=self._base_url + path("process", "validate", f"{request_id}-{validation_code}"),
                once=True,
            )
        )
        _check(response)

    async def send_email(
        self, address: str, body: Mapping[str, str], *, authorisation: str
    ) -> None:
        """Send an email: ``from``, ``html`` and ``subject``.

        Args:
            address: of the recipient.
            body: the email.
            authorisation: header with the credentials of a user.

        Raises:
            BackendError: refused; ``status`` tells why.
            NetworkError: no answer.
        """
        await self._send("email", address, body, authorisation)

    async def send_sms(self, number: str, body: Mapping[str, str], *, authorisation: str) -> None:
        """Send a text message: ``message``. Otherwise as :meth:`send_email`."""
        await self._send("sms", number, body, authorisation)

    async def _send(
        self, channel: str, contact: str, body: Mapping[str, str], authorisation: str
    ) -> None:
        # Not repeatable: a second request would send a second message.
        response = await self._transport.send(
            Request(
                action=f"send the {'email' if channel == 'email' else 'text message'}",
                method="POST",
                url=self._base_url + path(channel, "to", contact),
                headers={"Authorization": authorisation},
                body=dict(body),
            )
        )
        _check(response)


def _checked_challenge(response: Response) -> Challenge:
    members = response.raise_for_status().json_object()
    challenge_id, salts, factor = (
        members.get(name) for name in ("id", "salts", "difficultyFactor")
    )
    if (
        not _is_text(challenge_id)
        or not is_list(salts)
        or not all(map(_is_text, salts))
        or type(factor) is not int
        or factor < 1
    ):
        raise response.invalid(f"the server's challenge is malformed; {_ANOTHER_CAPTCHA}")
    if len(salts) > _MOST_SALTS or len(salts) * factor > _MOST_WORK:
        raise response.invalid(f"solving the server's challenge takes too long; {_ANOTHER_CAPTCHA}")
    return Challenge(challenge_id, tuple(salts), factor)


def _is_text(value: object) -> TypeGuard[str]:
    """Return whether this is a text that can be hashed."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _check(response: Response) -> None:
    """Raise unless the gateway agreed: any 2xx, whose body is of no interest.

    A web page is no gateway: it comes from a wrong URL, or a network that wants a login first.
    """
    response.raise_for_status()
    is_page = response.headers.get("content-type", "").startswith("text/html")
    if is_page or response.looks_like_a_page:
        raise response.invalid("a web page answers; check with_msg_gw_url() and the network")
