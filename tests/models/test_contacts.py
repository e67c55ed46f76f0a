from __future__ import annotations

import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.authentication.captcha import chosen_captcha
from icure_async.errors import ValidationError
from icure_async.models.contacts import (
    clean_contact,
    normalise_email,
    normalise_phone_number,
)


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
        ("+32\u202f588\u202f23\u202f55\u202f95", "+32588235595"),
        ("+32\t588\u2007235\u2009595\n", "+32588235595"),
        ("+32\u2212588\u200b235\u2060595", "+32588235595"),
        ("+\u0663\u0662588235595", "+32588235595"),
    ],
)
def test_phone_numbers_become_e164(given: str, normalised: str) -> None:
    assert normalise_phone_number(given) == normalised


BLANKS = [character for character in map(chr, range(sys.maxunicode + 1)) if character.isspace()]


@pytest.mark.parametrize("blank", BLANKS, ids=map(ascii, BLANKS))
def test_every_blank_in_a_phone_number_is_a_blank(blank: str) -> None:
    assert normalise_phone_number(f"{blank}+32{blank}588 23{blank}55 95{blank}") == "+32588235595"
    assert normalise_email(f"{blank}ned@winterfell.example{blank}") == "ned@winterfell.example"


MARKS = [
    character
    for character in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(character) == "Cf"
]


def test_no_invisible_mark_is_in_the_way() -> None:
    assert len(MARKS) > 100
    for mark in MARKS:
        assert normalise_phone_number(f"{mark}+32{mark}588235595{mark}") == "+32588235595"
        assert normalise_email(f"{mark}ned{mark}@x{mark}.be{mark}") == "ned@x.be"


@pytest.mark.parametrize(
    "number",
    [
        "+5215512345678",  # Mexico, before 2019.
        "+22997979797",  # Benin, before 2024.
        "+22507070707",  # Ivory Coast, before 2021.
        "+12530000",
        "+999123456",
        "+1234",
        "+123456789012345",
    ],
)
def test_what_is_e164_already_needs_no_numbering_plan(number: str) -> None:
    assert normalise_phone_number(number) == number


@given(st.from_regex(r"\+[1-9][0-9]{3,14}", fullmatch=True))
def test_every_number_that_the_reference_accepts_goes_through(number: str) -> None:
    assert number.isascii()
    assert normalise_phone_number(number) == number


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
        "+123",
        "+1234567890123456",
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
    assert (number is None) == (not clean_contact(text))
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
        ("John@Example.com", "john@example.com"),
        ("ned+code@mail.winterfell.example", "ned+code@mail.winterfell.example"),
        ("eddard@sub.test", "eddard@sub.test"),
        ("ned@example.org\u200b", "ned@example.org"),
        ("\ufeffned@example.org", "ned@example.org"),
        ("Ned@Hospital.LOCAL", "ned@hospital.local"),
        ("ned@localhost", "ned@localhost"),
        ("ned@intranet", "ned@intranet"),
        ("ned@[127.0.0.1]", "ned@[127.0.0.1]"),
        ("ned@[IPv6:::1]", "ned@[ipv6:::1]"),
        ("ned.@docomo.ne.jp", "ned.@docomo.ne.jp"),
        (".ned..stark@docomo.ne.jp", ".ned..stark@docomo.ne.jp"),
        ('"Ned Stark"@winterfell.example', '"ned stark"@winterfell.example'),
        ('"ned@stark"@winterfell.example', '"ned@stark"@winterfell.example'),
        ("Bran@B\u00fccher.example", "bran@xn--bcher-kva.example"),
        ("bran@bu\u0308cher.example", "bran@xn--bcher-kva.example"),
        ("bran@xn--bcher-kva.example", "bran@xn--bcher-kva.example"),
        ("bran@b\u00fccher.local", "bran@xn--bcher-kva.local"),
        ("zoe\u0308@winterfell.example", "zo\u00eb@winterfell.example"),
        ("ZO\u00cb@localhost", "zo\u00eb@localhost"),
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
        ".@b.be",
        "a@b..be",
        "a@-b.be",
        "a@[b]",
        "zo\u00eb stark@b.be",
        "a@b\u00fc cher.be",
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


# wire-protocol.md §3.1, where it describes addresses; around one, the reference ignores anything.
ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
ADDRESSES = st.from_regex(
    rf"(?:{ATOM}(?:\.{ATOM})*|\"(?:[!#-\[\]-~]|\\[!-~])*\")"
    rf"@(?:(?:{LABEL}\.)+{LABEL}|\[(?:[1-9]?[0-9]\.){{3}}[1-9]?[0-9]\]|\[[a-z0-9]+:[!-Z^-~]+\])",
    fullmatch=True,
)


@given(ADDRESSES)
def test_every_address_that_the_reference_accepts_goes_through(address: str) -> None:
    assert normalise_email(address.lower()) == address.lower()


@given(st.one_of(st.text(), st.from_regex(r"\w+@\w+\.\w+", fullmatch=True)))
def test_normalising_an_address_again_changes_nothing(text: str) -> None:
    try:
        address = normalise_email(text)
    except ValidationError:
        return
    assert normalise_email(address) == address
    assert address is None or address == address.lower()


@given(st.text())
def test_cleaning_again_changes_nothing(text: str) -> None:
    assert clean_contact(clean_contact(text)) == clean_contact(text)


@pytest.mark.parametrize("nothing", [None, "", "  ", "\n", "\u200b", "\u2009\ufeff "])
def test_an_empty_text_is_nothing(nothing: str | None) -> None:
    assert normalise_email(nothing) is None
    assert normalise_phone_number(nothing) is None


@pytest.mark.parametrize("value", [32470123456, b"ned@winterfell.example", ["+32470123456"]])
def test_only_texts_are_contacts(value: Any) -> None:
    with pytest.raises(ValidationError, match="email must be a text"):
        normalise_email(value)
    with pytest.raises(ValidationError, match="phone_number must be a text"):
        normalise_phone_number(value)


@pytest.mark.parametrize("captcha_type", ["recaptcha", "friendly-captcha", None])
async def test_each_captcha_has_its_member(captcha_type: Any) -> None:
    captcha = chosen_captcha("solved", captcha_type, None, solves_itself=True)
    name = "friendly-captcha" if captcha_type == "friendly-captcha" else "g-recaptcha"
    no_gateway: Any = None
    assert await captcha.member(no_gateway) == {f"{name}-response": "solved"}


def test_an_unknown_captcha_is_refused() -> None:
    unknown: Any = "hcaptcha"
    with pytest.raises(ValidationError, match="recaptcha, friendly-captcha"):
        chosen_captcha("solved", unknown, None, solves_itself=False)


@pytest.mark.parametrize("solution", ["", "  ", 7])
def test_an_unsolved_captcha_is_refused(solution: Any) -> None:
    with pytest.raises(ValidationError, match="is empty"):
        chosen_captcha(solution, "recaptcha", None, solves_itself=True)


def test_a_missing_captcha_is_refused_where_the_sdk_is_not_to_solve_it() -> None:
    with pytest.raises(ValidationError, match="recaptcha is missing"):
        chosen_captcha(None, "recaptcha", None, solves_itself=True)
    with pytest.raises(ValidationError, match="recaptcha is missing"):
        chosen_captcha(None, None, None, solves_itself=False)
