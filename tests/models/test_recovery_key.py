from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async import RecoveryKey
from icure_async.errors import ValidationError

CONTENT = bytes(range(32))
TEXT = base64.b32encode(CONTENT).decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.lower(),
        TEXT.rstrip("="),
        CONTENT.hex(),
        CONTENT.hex().upper(),
        "-".join(TEXT[start : start + 4] for start in range(0, 52, 4)),
        f"  {TEXT[:20]}\n{TEXT[20:]} ",
    ],
)
def test_a_key_is_read_in_each_form_that_people_write_it_in(text: str) -> None:
    key = RecoveryKey(text)
    assert key.text == TEXT
    assert key.to_bytes() == CONTENT
    assert key == RecoveryKey(TEXT)


def test_a_shorter_key_of_another_client_is_read() -> None:
    assert RecoveryKey(CONTENT[:16].hex()).to_bytes() == CONTENT[:16]
    assert RecoveryKey(base64.b32encode(CONTENT[:16]).decode()).to_bytes() == CONTENT[:16]


def test_a_key_is_not_shown_by_accident() -> None:
    key = RecoveryKey(TEXT)
    assert repr(key) == str(key) == f"{key}" == "RecoveryKey()"


@pytest.mark.parametrize(
    "text", ["", "secret", TEXT[:-8], TEXT + "A", "0" * 63, "g" * 64, "1" * 52, f"{TEXT[:51]}B"]
)
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RecoveryKey(text)
    assert "not a recovery key" in str(caught.value)
    assert not text or text not in str(caught.value)


@given(st.none() | st.integers() | st.binary() | st.lists(st.text()))
def test_another_type_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        RecoveryKey(value)


@given(st.binary(min_size=32, max_size=32))
def test_every_key_makes_the_round_trip(content: bytes) -> None:
    assert RecoveryKey(RecoveryKey(content.hex()).text).to_bytes() == content
