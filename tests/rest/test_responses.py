from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    ConflictError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
    TooManyRequestsError,
)
from icure_async.rest.responses import Response
from tests.support.loopback import NOW

IN_A_MINUTE = datetime.fromtimestamp(NOW + 60, UTC)


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Response:
    return Response(
        action="read patient 4711",
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body,
        received_at=NOW,
    )


@pytest.fixture
def west_of_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "EST+5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_success_is_no_error(status: int) -> None:
    response = answer(status)

    assert response.error() is None
    assert response.raise_for_status() is response


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (301, InvalidResponseError, "check the URLs"),
        (302, InvalidResponseError, "check the URLs"),
        (304, InvalidResponseError, "check the URLs"),
        (400, BadRequestError, "check the values"),
        (401, AuthenticationError, "log in again"),
        (403, PermissionDeniedError, "ask a data owner"),
        (404, NotFoundError, "check the id"),
        (406, BadRequestError, "check the values"),
        (409, ConflictError, "read it again"),
        (418, BadRequestError, "check the values"),
        (422, BadRequestError, "check the values"),
        (429, TooManyRequestsError, "wait and try again"),
        (500, ServerError, "try again later"),
        (503, ServerError, "try again later"),
        (599, ServerError, "try again later"),
    ],
)
def test_each_status_is_an_error_that_says_what_to_do(
    status: int, kind: type[BackendError], advice: str
) -> None:
    with pytest.raises(BackendError) as caught:
        answer(status, x_request_id="ab-12").raise_for_status()

    error = caught.value
    assert type(error) is kind
    assert str(error).startswith("Could not read patient 4711: ")
    assert advice in str(error)
    assert f"(HTTP {status})" in str(error)
    assert str(error).endswith("Request id: ab-12.")
    assert (error.status, error.request_id) == (status, "ab-12")
    assert error.retryable == (status in {429, 502, 503, 504})


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_passing_failure_may_be_tried_again(status: int) -> None:
    assert answer(status).retryable


@pytest.mark.parametrize("value", ["", "a b", "x" * 129, "\x1b[31m", "\udcff", "a\nb", "é"])
def test_what_does_not_look_like_a_request_id_is_left_out(value: str) -> None:
    error = answer(500, x_request_id=value).error()

    assert error is not None
    assert error.request_id is None
    assert str(error) == (
        "Could not read patient 4711: the server failed; try again later (HTTP 500)."
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message":"Document update Conflict"}', "Document update Conflict"),
        (b'{"message":"' + b"x" * 501 + b'"}', "x" * 500),
        (b'{"message":42}', None),
        (b'{"error":"other"}', None),
        (b'"text"', None),
        (b"<html>", None),
        (b"[" * 100_000, None),
        (b"", None),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_the_server_says_is_kept_out_of_the_text(body: bytes, message: str | None) -> None:
    error = answer(409, body).error()

    assert error is not None
    assert error.server_message == message
    assert message is None or message not in str(error)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        (format_datetime(IN_A_MINUTE, usegmt=True), 60.0),
        # The two obsolete forms of dates, which say nothing of a time zone.
        (IN_A_MINUTE.strftime("%A, %d-%b-%y %H:%M:%S GMT"), 60.0),
        (IN_A_MINUTE.strftime("%a %b %d %H:%M:%S %Y"), 60.0),
        (IN_A_MINUTE.strftime("%a, %d %b %Y %H:%M:%S -0000"), 60.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
    ],
)
@pytest.mark.usefixtures("west_of_greenwich")
def test_retry_after_is_read_as_seconds_and_as_date(value: str, seconds: float | None) -> None:
    assert answer(503, retry_after=value).retry_after == seconds


def test_retry_after_as_a_date_is_held_against_the_servers_clock() -> None:
    an_hour_ahead = datetime.fromtimestamp(NOW + 3600, UTC)
    response = answer(
        503,
        date=format_datetime(an_hour_ahead, usegmt=True),
        retry_after=format_datetime(datetime.fromtimestamp(NOW + 3605, UTC), usegmt=True),
    )

    assert response.clock_skew == 3600.0
    assert response.retry_after == 5.0


def test_a_response_without_headers_says_nothing_of_time() -> None:
    assert answer(503).retry_after is None
    assert answer().clock_skew == 0.0


@given(st.text() | st.text(alphabet="0123456789:,- GMTadyonJ+", max_size=40))
def test_any_header_is_read_without_an_error(value: str) -> None:
    response = answer(503, date=value, retry_after=value)

    assert response.retry_after is None or response.retry_after >= 0
    assert isinstance(response.clock_skew, float)


def test_json_is_read() -> None:
    assert answer(body=b' {"a":[1]} ').json_object() == {"a": [1]}
    assert answer(body=b'[{"a":1}]').json_list() == [{"a": 1}]
    assert answer(body=b"true").json() is True


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty body"),
        (b" \r\n", "empty body"),
        (b"<!DOCTYPE html><html>secret</html>", "web page; check the URL"),
        (b"\n <html>secret", "web page; check the URL"),
        (b'{"note":"secret', "truncated or malformed"),
        (b"secret", "truncated or malformed"),
        (b"\xff\xfe\x00secret", "truncated or malformed"),
        (b'{"note":NaN,"a":"secret"}', "truncated or malformed"),
        (b"[" * 100_000 + b'"secret"', "truncated or malformed"),
        (b'"secret"', "not an object"),
        (b"null", "not an object"),
        (b'["secret"]', "not an object"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_what_is_no_json_object_is_an_error_that_says_so(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidResponseError) as caught:
        answer(body=body).json_object()

    error = caught.value
    assert str(error).startswith("Could not read patient 4711: ")
    assert reason in str(error)
    assert "secret" not in str(error)
    assert error.status == 200
    assert error.__context__ is None


@pytest.mark.parametrize("body", [b"{}", b'"a"', b"null", b"1"])
def test_what_is_no_json_array_is_an_error_that_says_so(body: bytes) -> None:
    with pytest.raises(InvalidResponseError, match="not an array"):
        answer(body=body).json_list()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"b1eb6c4e-aa70-4a50", "b1eb6c4e-aa70-4a50"),
        (b" b1eb6c4e\r\n", "b1eb6c4e"),
        (b'"b1eb6c4e"', "b1eb6c4e"),
        (b'"a\\"b\\u00e9"', 'a"bé'),
        ("é".encode(), "é"),
    ],
)
def test_text_is_read_bare_or_as_a_json_string(body: bytes, text: str) -> None:
    assert answer(body=body).text() == text


@pytest.mark.parametrize(
    "body", [b"", b"  ", b'""', b"null", b'"open', b"\xff", b"<html>", b'{"token":"a"}', b"[]"]
)
def test_what_is_no_bare_text_is_an_error(body: bytes) -> None:
    with pytest.raises(InvalidResponseError, match="something else than a bare text") as caught:
        answer(body=body).text()
    assert caught.value.__context__ is None


READERS: list[Callable[[Response], object]] = [
    Response.json,
    Response.json_object,
    Response.json_list,
    Response.text,
    Response.raise_for_status,
]


@given(st.binary(max_size=40), st.sampled_from(READERS), st.integers(200, 599))
def test_any_body_is_read_or_an_error_of_ours(
    body: bytes, read: Callable[[Response], object], status: int
) -> None:
    caught: BackendError | None = None
    try:
        read(answer(status, body))
    except BackendError as error:
        caught = error
    assert caught is None or (caught.status, caught.__context__) == (status, None)


def test_body_and_headers_are_not_in_the_repr() -> None:
    assert "secret" not in repr(answer(body=b"secret", x_echo="secret"))
