from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from icure_async.authentication.process import (
    TRANSITIONS,
    AuthenticationEvent,
    AuthenticationProcess,
    AuthenticationState,
    advance,
)
from icure_async.errors import ProcessStateError, ValidationError
from icure_async.models.flavour import FLAVOURS

State = AuthenticationState
Event = AuthenticationEvent

PROCESS = AuthenticationProcess(
    request_id="6f4c0a3e-8a57-4c60-9d84-0d6a63c6bd0f",
    login="+32470123456",
    bypass_token_check=True,
    state=State.CODE_SENT,
    channel="sms",
    process_id="patient-sms",
    phone_number="+32470123456",
    first_name="Ned",
    last_name="Stark",
    healthcare_professional_id="077b92d1-23cb-4557-9525-fedd377d84e0",
    validation_code_length=8,
    started_at=1_700_000_000_000,
    wrong_codes=2,
)
OF_TODAY = attrs.evolve(PROCESS, flavour="cardinal")

AFTER_A_FAILURE = (State.REFUSED, State.EXPIRED, State.LOCKED, State.UNKNOWN)
OVER = (State.COMPLETED, State.SUPERSEDED)

maybe_text = st.none() | st.text()
processes = st.builds(
    AuthenticationProcess,
    request_id=st.text(),
    login=st.text(),
    bypass_token_check=st.booleans(),
    state=st.sampled_from(State),
    channel=st.sampled_from(["email", "sms"]),
    process_id=st.text(),
    email=maybe_text,
    phone_number=maybe_text,
    first_name=maybe_text,
    last_name=maybe_text,
    healthcare_professional_id=maybe_text,
    validation_code_length=st.integers(),
    started_at=st.integers(),
    wrong_codes=st.integers(),
    flavour=st.sampled_from(FLAVOURS),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def members_of(process: AuthenticationProcess) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(process.to_json())
    return members


def test_the_documentation_prints_three_members() -> None:
    assert PROCESS.to_dict() == {
        "requestId": "6f4c0a3e-8a57-4c60-9d84-0d6a63c6bd0f",
        "login": "+32470123456",
        "bypassTokenCheck": True,
    }


@given(processes)
def test_json_carries_the_whole_state(process: AuthenticationProcess) -> None:
    text = process.to_json()
    assert AuthenticationProcess.from_json(text) == process
    assert AuthenticationProcess.from_json(text.encode()) == process


def test_json_holds_a_version_and_no_member_that_could_hold_a_secret() -> None:
    members = members_of(PROCESS)
    assert members.pop("version") == 1
    # A new member has to be thought about here: neither a code, nor a token, nor a key.
    assert list(members) == [
        "request_id",
        "login",
        "bypass_token_check",
        "state",
        "channel",
        "process_id",
        "email",
        "phone_number",
        "first_name",
        "last_name",
        "healthcare_professional_id",
        "validation_code_length",
        "started_at",
        "wrong_codes",
    ]


@given(st.text() | st.binary() | json_values.map(json.dumps))
def test_garbage_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValidationError):
        AuthenticationProcess.from_json(text)


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", '{"version":1}', "[" * 100_000, "9" * 10_000, b"\xff\xfe", '{"a":'],
    ids=["nothing", "null", "array", "object", "bare", "nested", "number", "bytes", "cut off"],
)
def test_what_is_no_process_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValidationError, match=r"to_json\(\)"):
        AuthenticationProcess.from_json(text)


@pytest.mark.parametrize("value", [None, 7, PROCESS])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"to_json\(\)"):
        AuthenticationProcess.from_json(value)


@pytest.mark.parametrize("version", [0, 2, True, 1.0, "1", None, [1]])
def test_another_version_is_refused(version: object) -> None:
    with pytest.raises(ValidationError, match="another version"):
        AuthenticationProcess.from_json(json.dumps(members_of(PROCESS) | {"version": version}))


@given(st.sampled_from([field.name for field in attrs.fields(AuthenticationProcess)]), json_values)
def test_a_member_of_another_type_is_refused(name: str, value: object) -> None:
    optional = attrs.fields_dict(AuthenticationProcess)[name].default is None
    before = members_of(OF_TODAY)[name]
    same_type = type(value) in ({str, type(None)} if optional else {type(before)})
    text = json.dumps(members_of(PROCESS) | {name: value})
    if same_type and name not in ("state", "channel", "flavour"):
        assert getattr(AuthenticationProcess.from_json(text), name) == value
    elif value not in (before, PROCESS.flavour):
        with pytest.raises(ValidationError):
            AuthenticationProcess.from_json(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bypass_token_check", 1),
        ("bypass_token_check", "true"),
        ("started_at", True),
        ("started_at", 1.5),
        ("wrong_codes", None),
        ("wrong_codes", False),
        ("validation_code_length", "6"),
        ("request_id", None),
        ("login", 32470123456),
        ("email", ["ned@winterfell.example"]),
        ("state", "authorized"),
        ("channel", "pigeon"),
        ("flavour", "cardinal-3"),
        ("flavour", None),
        ("private_key", "3082"),
    ],
)
def test_a_tampered_member_is_refused_without_being_quoted(name: str, value: object) -> None:
    text = json.dumps(members_of(PROCESS) | {name: value})
    with pytest.raises(ValidationError) as caught:
        AuthenticationProcess.from_json(text)
    assert str(value) not in str(caught.value)


def test_a_process_of_today_remembers_its_flavour_and_older_sdks_refuse_it() -> None:
    members = members_of(OF_TODAY)
    assert members.pop("flavour") == "cardinal"
    # Older versions read exactly these members, and wrote them.
    assert members == members_of(PROCESS)
    assert AuthenticationProcess.from_json(json.dumps(members)).flavour == "medtech"
    assert AuthenticationProcess.from_json(OF_TODAY.to_json()) == OF_TODAY


@pytest.mark.parametrize(
    "name", [name for name in attrs.fields_dict(AuthenticationProcess) if name != "flavour"]
)
def test_a_missing_member_is_refused_by_name(name: str) -> None:
    members = members_of(PROCESS)
    del members[name]
    with pytest.raises(ValidationError, match=name):
        AuthenticationProcess.from_json(json.dumps(members))


def test_the_repr_names_nobody() -> None:
    assert repr(PROCESS) == (
        "AuthenticationProcess(request_id='6f4c0a3e-8a57-4c60-9d84-0d6a63c6bd0f', state='codeSent')"
    )


def test_a_process_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        PROCESS.state = State.COMPLETED  # type: ignore[misc]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_the_table_is_all_there_is(state: AuthenticationState, event: AuthenticationEvent) -> None:
    process = attrs.evolve(PROCESS, state=state)
    target = TRANSITIONS.get((state, event))
    if target is None:
        with pytest.raises(ProcessStateError, match=state.value) as caught:
            advance(process, event)
        assert caught.value.process is process
        assert process == attrs.evolve(PROCESS, state=state)
    else:
        wrong = PROCESS.wrong_codes + (event is Event.CODE_REFUSED)
        assert advance(process, event) == attrs.evolve(PROCESS, state=target, wrong_codes=wrong)


@pytest.mark.parametrize("state", OVER)
def test_nothing_leads_out_of_what_is_over(state: AuthenticationState) -> None:
    assert not [event for start, event in TRANSITIONS if start is state]


@pytest.mark.parametrize("state", AFTER_A_FAILURE)
def test_after_a_failure_only_another_code_helps(state: AuthenticationState) -> None:
    events = {event: target for (start, event), target in TRANSITIONS.items() if start is state}
    assert events == {Event.RESENT: State.SUPERSEDED}


@pytest.mark.parametrize("state", ["validated", "signedIn", "authorised"])
def test_a_step_of_a_completion_that_was_a_state_once_begins_with_the_code_again(
    state: str,
) -> None:
    text = json.dumps(members_of(PROCESS) | {"state": state})
    assert AuthenticationProcess.from_json(text) == PROCESS
    assert State(state) is State.CODE_SENT


def test_every_state_is_reached() -> None:
    assert set(TRANSITIONS.values()) == set(State) - {State.NEW}


class Life(RuleBasedStateMachine):
    """Any events in the life of a process, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.process = AuthenticationProcess(request_id="r", login="l")
        self.wrong_codes = 0
        self.past = [State.NEW]

    @rule(event=st.sampled_from(Event))
    def something_happens(self, event: AuthenticationEvent) -> None:
        before = self.process
        text = before.to_json()
        target = TRANSITIONS.get((before.state, event))
        if target is None:
            with pytest.raises(ProcessStateError):
                advance(before, event)
        else:
            self.process = advance(before, event)
            self.past.append(self.process.state)
            self.wrong_codes += event is Event.CODE_REFUSED
            assert self.process.state is target
        assert before.to_json() == text

    @rule()
    def it_is_saved_and_loaded(self) -> None:
        self.process = AuthenticationProcess.from_json(self.process.to_json())

    @invariant()
    def wrong_codes_are_counted(self) -> None:
        assert self.process.wrong_codes == self.wrong_codes

    @invariant()
    def it_ends_where_it_should(self) -> None:
        for state, following in zip(self.past, self.past[1:], strict=False):
            assert state not in OVER
            if state in AFTER_A_FAILURE:
                assert following is State.SUPERSEDED

    @invariant()
    def it_completes_only_by_way_of_the_code(self) -> None:
        if self.process.state is State.COMPLETED:
            assert self.past[-2] is State.CODE_SENT


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
