"""HTTP answers for each class of error, without content."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from icure_async import errors
from icure_async.errors import (
    BatchError,
    ConflictError,
    ICureError,
    NetworkError,
    NotFoundError,
    ServerError,
    TokenExpiredError,
    TooManyRequestsError,
)
from icure_async.services import PROBLEM_JSON, headers_of, http_status_of, problem_of
from icure_async.services.http import _ANSWERS

CLASSES = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_no_class_of_the_hierarchy_is_forgotten(cls: type[ICureError]) -> None:
    assert cls in _ANSWERS or cls is BatchError


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_problem_has_no_content(cls: type[ICureError]) -> None:
    error = cls("Could not read patient 4711: secret")
    problem = problem_of(error)
    assert "4711" not in json.dumps(problem)
    assert "secret" not in json.dumps(problem)
    assert problem["status"] == http_status_of(error)
    assert problem["title"] == HTTPStatus(problem["status"]).phrase
    assert problem["status"] >= 400
    assert problem["type"].startswith("urn:icure:error:")


def test_each_class_has_a_type_of_its_own() -> None:
    types = {problem_of(cls("m"))["type"] for cls in CLASSES}
    assert len(types) == len(CLASSES)
    assert problem_of(TokenExpiredError("m"))["type"] == "urn:icure:error:token-expired"
    assert problem_of(ICureError("m"))["type"] == "urn:icure:error:icure"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TokenExpiredError("m"), 401),
        (NotFoundError("m", status=404), 404),
        (ServerError("m", status=500), 502),
        (NetworkError("m"), 502),
        (errors.RequestTimeoutError("m"), 504),
        (errors.StorageError("m"), 503),
        (errors.PoolBusyError("m"), 503),
        (errors.InvalidCodeError("m"), 422),
        (ZeroDivisionError(), 500),
        (KeyboardInterrupt(), 500),
    ],
)
def test_the_status_is_about_the_client_of_the_service(error: BaseException, status: int) -> None:
    assert http_status_of(error) == status


def test_a_class_of_the_applications_own_has_the_answer_of_its_parent() -> None:
    class GoneError(NotFoundError):
        pass

    assert problem_of(GoneError("m")) == problem_of(NotFoundError("m"))


def test_an_error_of_somebody_else_tells_nothing() -> None:
    problem = problem_of(ValueError("secret"))
    assert problem["type"] == "urn:icure:error:internal"
    assert "secret" not in json.dumps(problem)


def test_many_errors_have_the_status_that_all_have() -> None:
    conflict, missing = ConflictError("m"), NotFoundError("m")
    assert http_status_of(BatchError("m", errors=[conflict, conflict])) == 409
    assert http_status_of(BatchError("m", errors=[conflict, missing])) == 500
    assert http_status_of(BatchError("m")) == 500


def test_the_backend_says_how_long_to_wait() -> None:
    error = TooManyRequestsError("m", retry_after=1.2)
    assert problem_of(error)["retryAfter"] == 2
    assert headers_of(error) == {
        "Content-Type": PROBLEM_JSON,
        "Cache-Control": "no-store",
        "Retry-After": "2",
    }
    assert "retryAfter" not in problem_of(NotFoundError("m"))
    assert "Retry-After" not in headers_of(TooManyRequestsError("m", retry_after=float("inf")))
