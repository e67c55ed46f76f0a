from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.authentication.captcha import captcha_member
from icure_async.authentication.contacts import normalise_email, normalise_phone_number
from icure_async.errors import ValidationError


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("+32470123456", "+32470123456"),
        (" +32 470 12 34 56 ", "+32470123456"),
        ("+32 (0)470/12.34.56", "+32470123456"),
        ("+32-470-12\u201134\u201156", "+32470123456"),
        ("\u202a+32\u00a0470\u00a0123\u00a0456\u202c", "+32470123456"),
        ("\uff0b32470123456", "+32470123456"),
        ("+1 (212) 555-0100", "+12125550100"),
        ("+39 06 1234 5678", "+390612345678"),
    ],
)
def test_phone_numbers_become_e164(given: str, normalised: str) -> None:
    assert normalise_phone_number(given) == normalised


@pytest.mark.parametrize(
    "number",
    [
        "0470123456",
        "32470123456",
        "0032470123456",
        "+",
        "+32",
        "+0470123456",
        "+3247012345678901234",
        "+12530000",
        "++32470123456",
        "ned",
        "call +32470123456",
        "+32470123456 or +32470999999",
        "+32470123456 ext. 5",
        "+32470123456;ext=5",
        "tel:+32470123456",
        "+1-800-FLOWERS",
        "+32470123456\n+32470999999",
        "+32470123456@sms.example",
    ],
)
def test_malformed_phone_numbers_are_refused(number: str) -> None:
    with pytest.raises(ValidationError, match="international form"):
        normalise_phone_number(number)


@given(st.text())
def test_a_phone_number_is_e164_or_refused(text: str) -> None:
    try:
        number = normalise_phone_number(text)
    except ValidationError:
        return
    assert (number is None) == (not text.strip())
    if number is not None:
        assert number[0] == "+"
        assert number[1:].isdecimal()
        assert number.isascii()
        assert normalise_phone_number(number) == number


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("ned@winterfell.example", "ned@winterfell.example"),
        (" ned@winterfell.example\n", "ned@winterfell.example"),
        ("John@Example.com", "John@example.com"),
        ("ned+code@mail.winterfell.example", "ned+code@mail.winterfell.example"),
        ("eddard@sub.test", "eddard@sub.test"),
    ],
)
def test_email_addresses_are_normalised(given: str, normalised: str) -> None:
    assert normalise_email(given) == normalised


@pytest.mark.parametrize(
    "email",
    [
        "a b@x.be",
        "<a@b.be>",
        "Ned <ned@winterfell.example>",
        "x@y",
        ".a@b.be",
        "a..b@c.be",
        "a@b.be,c@d.be",
        "a@b.be\nBcc: c@d.be",
        "a@@b.be",
        "@b.be",
        "a@",
        "ned",
        "+32470123456",
    ],
)
def test_malformed_email_addresses_are_refused(email: str) -> None:
    with pytest.raises(ValidationError, match="plain address"):
        normalise_email(email)


@pytest.mark.parametrize("nothing", [None, "", "  ", "\n"])
def test_an_empty_text_is_nothing(nothing: str | None) -> None:
    assert normalise_email(nothing) is None
    assert normalise_phone_number(nothing) is None


@pytest.mark.parametrize("value", [32470123456, b"ned@winterfell.example", ["+32470123456"]])
def test_only_texts_are_contacts(value: Any) -> None:
    with pytest.raises(ValidationError, match="email must be a text"):
        normalise_email(value)
    with pytest.raises(ValidationError, match="phone_number must be a text"):
        normalise_phone_number(value)


def test_each_captcha_has_its_member() -> None:
    assert captcha_member("solved", "recaptcha") == {"g-recaptcha-response": "solved"}
    assert captcha_member("solved", "friendly-captcha") == {"friendly-captcha-response": "solved"}


def test_an_unknown_captcha_is_refused() -> None:
    unknown: Any = "hcaptcha"
    with pytest.raises(ValidationError, match="recaptcha, friendly-captcha"):
        captcha_member("solved", unknown)


@pytest.mark.parametrize("solution", ["", "  ", None, 7])
def test_an_unsolved_captcha_is_refused(solution: Any) -> None:
    with pytest.raises(ValidationError, match="is empty"):
        captcha_member(solution, "recaptcha")
