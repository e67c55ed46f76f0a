"""Messages, and the invitations of the reference."""

from __future__ import annotations

from typing import Any, cast

import pytest

from icure_async import (
    Address,
    EmailMessage,
    ICureRegistrationEmail,
    ICureRegistrationSMS,
    Patient,
    SMSMessage,
    Telecom,
    User,
)
from icure_async.errors import ValidationError
from icure_async.models.contact_choice import contacts_of, preferred_contacts
from tests.support.invitations import INVITER, address

TOKEN = "1c7d8daf-b938-4605-9621-f611ebb55a4f"
ARYA = Patient(first_name="Arya", last_name="Stark")
RECIPIENT = User(login="arya@winterfell.example")
SENTENCE = (
    "Dear Arya, you have been invited by Luwin to use Maester. Go to the link https://a.example "
    "and use the following credentials : arya@winterfell.example & " + TOKEN
)


def test_the_reference_says_this_by_email_and_by_text_message() -> None:
    arguments = (INVITER, "https://a.example", "Maester", ARYA)
    email = ICureRegistrationEmail(*arguments).get(RECIPIENT, TOKEN)
    assert email == EmailMessage(
        sender="luwin@clinic.example",
        subject="You have been invited to use Maester",
        html=SENTENCE,
    )
    assert ICureRegistrationSMS(*arguments).get(RECIPIENT, TOKEN) == SMSMessage(message=SENTENCE)


def test_a_name_puts_no_html_into_an_email() -> None:
    patient = ARYA.evolve(first_name="<b>Arya</b>")
    inviter = INVITER.evolve(last_name="Luwin & Sons")
    factory = ICureRegistrationEmail(inviter, "https://a.example?b=1&c=2", "A<B", patient)
    html = factory.get(RECIPIENT, TOKEN).html
    assert "Dear &lt;b&gt;Arya&lt;/b&gt;," in html
    assert "by Luwin & Sons to use A&lt;B." in html
    assert "https://a.example?b=1&amp;c=2 and" in html
    sms = ICureRegistrationSMS(inviter, "https://a.example?b=1&c=2", "A<B", patient)
    assert "Dear <b>Arya</b>, you" in sms.get(RECIPIENT, TOKEN).message


def test_names_that_are_not_known_are_left_out() -> None:
    """The reference says "Dear undefined"."""
    message = ICureRegistrationSMS(Patient(), "https://a.example", "Maester", Patient())
    said = message.get(RECIPIENT, TOKEN).message
    assert said.startswith("You have been invited by your healthcare professional to use Maester.")


@pytest.mark.parametrize("factory", [ICureRegistrationEmail, ICureRegistrationSMS])
@pytest.mark.parametrize(
    "arguments",
    [
        ("hcp", "https://a.example", "M", ARYA),
        (None, "https://a.example", "M", ARYA),
        (INVITER, "", "M", ARYA),
        (INVITER, "https://a.example", "two\nlines", ARYA),
        (INVITER, None, "M", ARYA),
        (INVITER, "https://a.example", "M", None),
        (INVITER, "https://a.example", "M", RECIPIENT),
    ],
)
def test_mistakes_are_found_when_the_factory_is_made(factory: Any, arguments: Any) -> None:
    with pytest.raises(ValidationError):
        factory(*arguments)


def test_an_email_needs_a_sender() -> None:
    with pytest.raises(ValidationError, match="no email address"):
        ICureRegistrationEmail(Patient(), "https://a.example", "M", ARYA)


def test_no_repr_shows_a_message() -> None:
    for text in (
        repr(EmailMessage(sender="a@b.example", subject="s", html=TOKEN)),
        repr(SMSMessage(message=TOKEN)),
        repr(ICureRegistrationSMS(INVITER, f"https://a.example/{TOKEN}", "M", ARYA)),
    ):
        assert TOKEN not in text
        assert "Arya" not in text


def test_the_sender_is_the_first_email_address_the_last_of_its_address() -> None:
    two = Address(
        telecoms=[
            Telecom(telecom_type="email", telecom_number=number)
            for number in ("a@x.example", "b@x.example", "")
        ]
    )
    other = address("home", email="c@x.example")
    assert list(contacts_of([address(mobile="+32470123456"), two, other], "email")) == [
        "b@x.example",
        "c@x.example",
    ]
    assert next(iter(preferred_contacts([two, other]))) == ("email", "c@x.example")
    assert list(preferred_contacts([Address(telecoms=[Telecom()])])) == []


def test_a_message_is_made_with_names() -> None:
    with pytest.raises(TypeError, match="sender"):
        cast("Any", EmailMessage)(to="a", subject="b", html="c")
