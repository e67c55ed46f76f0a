"""The page about errors, held against the classes."""

from __future__ import annotations

import inspect
import re

import pytest

import icure_async
from icure_async import errors
from icure_async.authentication import failures
from icure_async.authentication.process import AuthenticationState
from icure_async.rest.responses import Response
from tests.support.page_parts import DOCS, code_in, page, sections_of, tables_of

PAGE = page("errors.md")
CLASSES = [name for name in errors.__all__ if name != "ICureError"]
WARNINGS = [name for name in icure_async.__all__ if name.endswith("Warning")]
SECTIONS = sections_of(PAGE, 3)
ANSWERS = re.compile(r"(yes|no|if|see)\b")


def text_of(cls: type) -> str:
    """Return the docstring of a class up to its attributes and examples, as a page has it."""
    paragraphs = (inspect.getdoc(cls) or "").split("\n\n")
    told = next(
        (i for i, text in enumerate(paragraphs) if re.match(r"(Attributes|Examples?):", text)),
        len(paragraphs),
    )
    words = " ".join(" ".join(paragraphs[:told]).split())
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", words).replace("``", "`")


def attributes_of(cls: type) -> list[str]:
    told = re.search(r"^Attributes:\n((?:    .*\n?|\n)+)", inspect.getdoc(cls) or "", re.MULTILINE)
    return re.findall(r"^    (\w+):", told[1], re.MULTILINE) if told else []


def answers_of(section: str) -> dict[str, str]:
    """Return the items of a section's list by the words in bold that begin them."""
    items = re.findall(r"^\* \*\*(.+?):\*\* (.+(?:\n  .+)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in items}


def words_before_list(section: str) -> str:
    return " ".join(section.split("\n* ")[0].split())


def test_each_class_has_a_section_and_no_other_class_has_one() -> None:
    assert sorted(SECTIONS) == sorted([*CLASSES, *WARNINGS])


@pytest.mark.parametrize("name", [*CLASSES, *WARNINGS])
def test_a_section_begins_with_the_docstring_of_its_class(name: str) -> None:
    assert words_before_list(SECTIONS[name]) == text_of(
        getattr(icure_async, name, None) or getattr(errors, name)
    )


@pytest.mark.parametrize("name", CLASSES)
def test_a_section_says_what_to_do_and_whether_the_same_call_may_be_repeated(name: str) -> None:
    answers = answers_of(SECTIONS[name])
    bases = [base.__name__ for base in getattr(errors, name).__bases__]

    assert code_in(answers["Below"]) == [base for base in bases if base in errors.__all__]
    assert answers["Do"].endswith(".")
    assert ANSWERS.match(answers["The same call again"])
    assert code_in(answers.get("Tells", "")) == attributes_of(getattr(errors, name))


@pytest.mark.parametrize("name", WARNINGS)
def test_a_warning_says_what_to_do(name: str) -> None:
    assert answers_of(SECTIONS[name])["Do"].endswith(".")


def test_the_hierarchy_on_the_page_is_that_of_the_classes() -> None:
    def below(cls: type[Exception], depth: int = 0) -> list[str]:
        names = [sub for sub in cls.__subclasses__() if sub.__name__ in errors.__all__]
        return ["  " * depth + cls.__name__, *(x for sub in names for x in below(sub, depth + 1))]

    tree = (DOCS / "errors.md").read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]

    assert tree.splitlines() == below(errors.ICureError)


def test_the_page_says_of_each_attribute_whether_it_is_safe_to_log() -> None:
    safe, unsafe = tables_of(sections_of(PAGE, 2)["Safe to log"])
    named = [set(re.findall(r"\w+", " ".join(code_in(row[0])))) for row in (*safe, *unsafe)]
    attributes = {name for cls in CLASSES for name in attributes_of(getattr(errors, cls))}

    assert attributes <= set().union(*named)
    assert any("server_message" in code_in(row[0]) for row in unsafe)
    assert not any("server_message" in code_in(row[0]) for row in safe)


@pytest.mark.parametrize("status", [*range(300, 309), *range(400, 452), *range(500, 512)])
def test_the_table_of_statuses_is_right(status: int) -> None:
    rows = next(iter(tables_of(sections_of(PAGE, 2)["Statuses of HTTP"])))

    def includes(numbers: str) -> bool:
        if found := re.match(r"(\d+) to (\d+)", numbers):
            return int(found[1]) <= status <= int(found[2])
        return str(status) in numbers.split(", ")

    _, error, retryable = next(row for row in rows if includes(row[0]))
    raised = Response("read", status, {}, b"", 0.0).error()

    assert raised is not None
    assert code_in(error) == [type(raised).__name__]
    assert retryable == ("yes" if raised.retryable else "no")


def test_the_next_step_is_named_for_each_state_of_a_process() -> None:
    rows = next(iter(tables_of(sections_of(PAGE, 2)["Authentication processes"])))
    by_state = {code_in(state)[0]: code_in(error)[0] for state, error, _ in rows}
    closing = {
        state.value: failures._FAILURES[event][0].__name__
        for state, event in failures.EVENT_BY_STATE.items()
    }

    assert by_state.keys() == {state.value for state in AuthenticationState}
    assert by_state.items() >= closing.items()
    assert all(hasattr(errors, name) for name in by_state.values())


def test_the_page_says_that_a_closed_process_gets_another_code_where_the_code_says_so() -> None:
    from icure_async.authentication.process import TRANSITIONS, AuthenticationEvent

    rows = next(iter(tables_of(sections_of(PAGE, 2)["Authentication processes"])))
    resendable = {
        state.value for state, event in TRANSITIONS if event is AuthenticationEvent.RESENT
    }

    named = {code_in(state)[0] for state, _, step in rows if step.startswith("`resend()`")}

    assert named <= resendable
    assert named == {"expired", "locked", "refused"}
