"""The logins that a session reckons with."""

from __future__ import annotations

import copy
import pickle

import pytest

from icure_async.errors import ConfigurationError
from icure_async.rest.credentials import Credentials, Login

OLD = Login(user_name="ned", secret="old", expires_at=5)


def pairs(credentials: Credentials) -> list[tuple[str, str, int | None]]:
    return [(one.user_name, one.secret, one.expires_at) for one in credentials.candidates]


def test_what_is_expected_comes_after_what_has_worked() -> None:
    credentials = Credentials(OLD)
    credentials.expect(user_name="lord")
    credentials.expect(secret="new")
    assert pairs(credentials) == [
        ("ned", "old", 5),
        ("lord", "old", 5),
        ("ned", "new", None),
        ("lord", "new", None),
    ]
    before = pairs(credentials)
    credentials.expect(user_name="lord", secret="new")
    assert pairs(credentials) == before
    credentials.prefer(credentials.candidates[2])
    assert pairs(credentials)[0] == ("ned", "new", None)
    credentials.prefer(OLD)
    assert credentials.current is OLD


def test_settling_forgets_the_others() -> None:
    credentials = Credentials(OLD)
    credentials.expect(user_name="lord", secret="new")
    credentials.settle(secret="new")
    assert pairs(credentials) == [("lord", "new", None)]
    # One that nobody has expected, since the session logs in with something else.
    credentials.settle(user_name="somebody")
    assert pairs(credentials) == [("lord", "new", None)]


def test_withdrawing_forgets_those_that_were_refused() -> None:
    credentials = Credentials(OLD)
    credentials.expect(secret="new")
    credentials.withdraw(secret="new")
    assert credentials.candidates == (OLD,)
    credentials.withdraw(secret="old")
    assert credentials.candidates == (OLD,)


def test_a_token_replaces_the_secret_of_all_names() -> None:
    credentials = Credentials(OLD)
    credentials.expect(user_name="lord")
    credentials.replace_secret("token", expires_at=9)
    assert pairs(credentials) == [("ned", "token", 9), ("lord", "token", 9)]
    credentials.set_expiry(7)
    assert credentials.current.expires_at == 7


@pytest.mark.parametrize("thing", [OLD, Credentials(OLD)])
def test_secrets_are_neither_shown_nor_copied(thing: object) -> None:
    assert "old" not in repr(thing)
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(ConfigurationError):
            attempt(thing)
