"""Messages sent through the gateway, in the name of the logged-in user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.models.messages import EmailMessage

if TYPE_CHECKING:
    from icure_async.models.messages import Message
    from icure_async.rest.message_gateway import MessageGateway
    from icure_async.rest.session import Session

__all__ = ["Sender"]


class Sender:
    """Sends messages with the credentials of the user."""

    def __init__(self, gateway: MessageGateway, session: Session) -> None:
        self._gateway = gateway
        self._session = session

    async def send(self, contact: str, message: Message) -> None:
        """Send a message to a contact; both are well-formed, and go together.

        Raises:
            BackendError: the gateway refuses it.
            NetworkError: no answer. It may have been sent.
        """
        authorisation = self._session.basic_authorisation()
        if isinstance(message, EmailMessage):
            email = {"from": message.sender, "html": message.html, "subject": message.subject}
            await self._gateway.send_email(contact, email, authorisation=authorisation)
        else:
            sms = {"message": message.message}
            await self._gateway.send_sms(contact, sms, authorisation=authorisation)
