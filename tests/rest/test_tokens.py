from __future__ import annotations

import base64
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.rest.tokens import SessionToken
from tests.support.loopback import NOW, token


def with_payload(payload: bytes) -> str:
    return f"head.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.sig"


@given(st.text() | st.text(alphabet="ab.=-_+/\ud800é\n", max_size=30))
def test_any_text_is_a_token_that_may_be_expired(text: str) -> None:
    assert SessionToken.parse(text).text == text


@given(st.binary())
def test_any_payload_is_read_without_an_error(payload: bytes) -> None:
    assert isinstance(SessionToken.parse(with_payload(payload)).usable_at(NOW), bool)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_claims_are_read_without_an_error(claim: object) -> None:
    for claims in (claim, {"exp": claim}):
        expires_at = SessionToken.parse(with_payload(json.dumps(claims).encode())).expires_at
        assert expires_at == -math.inf or math.isfinite(expires_at)


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_the_expiry_date_is_read(expiry: int) -> None:
    assert SessionToken.parse(with_payload(b'{"exp":%d}' % expiry)).expires_at == expiry


def test_a_token_is_good_until_its_last_moment() -> None:
    parsed = SessionToken.parse(token(60))

    assert parsed.usable_at(NOW + 59.9)
    assert not parsed.usable_at(NOW + 60)


@pytest.mark.parametrize(
    "encode", [base64.b64encode, base64.urlsafe_b64encode], ids=["base64", "base64url"]
)
@pytest.mark.parametrize("padded", [True, False])
def test_both_alphabets_are_read(encode: object, padded: bool) -> None:
    assert callable(encode)
    # Among other things this payload has characters in which the alphabets differ.
    payload = encode('{"a":"~~~???>>>ÿÿÿ","exp":1800000060}'.encode()).decode()
    if not padded:
        payload = payload.rstrip("=")

    assert SessionToken.parse(f"h.{payload}.s").expires_at == NOW + 60


def test_a_token_without_signature_is_read() -> None:
    assert SessionToken.parse(token(60).removesuffix("sig")).usable_at(NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "opaque",
        "..",
        "a.b",
        token() + ".more",
        with_payload(b""),
        with_payload(b"not JSON"),
        with_payload(b"[1800000060]"),
        with_payload(b"null"),
        with_payload(b"{}"),
        with_payload(b'{"exp":null}'),
        with_payload(b'{"exp":true}'),
        with_payload(b'{"exp":"1900000000"}'),
        with_payload(b'{"exp":NaN}'),
        with_payload(b'{"exp":Infinity}'),
        with_payload(b'{"exp":1e999}'),
        with_payload(b'{"exp":1' + b"0" * 400 + b"}"),
        with_payload(b'{"exp":1' + b"0" * 5000 + b"}"),
        with_payload(b'{"exp":' + b"[" * 100_000),
        with_payload(b'{"exp":1900000000}').replace(".", ".!", 1),
        with_payload(b'{"exp":1900000000}') + "\r\nX-Evil: 1",
        with_payload(b'{"exp":1900000000}') + "é",
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_a_token_that_cannot_be_read_is_expired(text: str) -> None:
    assert SessionToken.parse(text).expires_at == -math.inf


def test_a_token_is_not_in_its_repr() -> None:
    assert token() not in repr(SessionToken.parse(token()))
