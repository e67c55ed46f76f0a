"""Answers with any JSON in place of any of their members, between the SDK and a real sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs
import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

__all__ = ["WRONG", "Answer", "Case", "Mutator", "cases_of"]

_PLACE = "the-place-of-the-mutation"

WRONG: dict[str, str] = {
    "null": "null",
    "true": "true",
    "false": "false",
    "0": "0",
    "-1": "-1",
    "1.5": "1.5",
    "beyond 64 bits": "9223372036854775808",
    "31 digits": "1" * 31,
    "5,000 digits": "1" * 5000,
    "1e400": "1e400",
    "-1e400": "-1e400",
    "NaN": "NaN",
    "Infinity": "Infinity",
    "an empty text": '""',
    "a blank": '" "',
    "a text": '"x"',
    "a number in a text": '"0"',
    "a path": '"../../x"',
    "a lone surrogate": '"\\ud800"',
    "NUL": '"\\u0000"',
    "control characters": '"x\\nERROR forged \\u001b[2J"',
    "20 kB": json.dumps("A" * 20_000),
    "base64": json.dumps("AAAA" * 16),
    "hex": json.dumps("0a" * 96),
    "a uuid": '"11111111-2222-4333-8444-555555555555"',
    "an empty list": "[]",
    "a list": '["x"]',
    "a nested list": "[[]]",
    "a list of null": "[null]",
    "an empty object": "{}",
    "an object": '{"x": "y"}',
    "an object with a list": '{"x": ["y"]}',
    "300 levels": "[" * 300 + "]" * 300,
}
"""Replacements for a member: name → JSON, or a text that is nearly JSON."""

DELETED = "deleted"
DOUBLED = "doubled"
DOUBLED_BEFORE = "doubled before"

Step = str | int


@attrs.frozen
class Answer:
    """An answer of a run in which nothing was changed."""

    number: int
    request: str
    body: bytes = attrs.field(repr=False)


@attrs.frozen
class Case:
    """A change of one member of one answer of a flow.

    Attributes:
        number: of the answer, counted from 1.
        request: what it answers.
        path: the steps to the member.
        places: the place of each step among its siblings, for names that are new in each run.
        mutation: name of what is put there.
    """

    number: int
    request: str
    path: tuple[Step, ...]
    places: tuple[int, ...]
    mutation: str

    def __str__(self) -> str:
        where = "".join(f"/{step}" for step in self.path) or "all of it"
        return f"answer {self.number} ({self.request}) {where}: {self.mutation}"

    def apply(self, body: bytes) -> bytes:
        """Return the answer, changed. It may be one with other ids than the recorded one."""
        if not self.path:
            return WRONG[self.mutation].encode()
        document = orjson.loads(body)
        around = document
        for step, position in zip(self.path[:-1], self.places[:-1], strict=True):
            around = around[_like(around, step, position)]
        last = _like(around, self.path[-1], self.places[-1])
        member = json.dumps(around[last])
        if self.mutation == DELETED:
            del around[last]
            return orjson.dumps(document)
        around[last] = _PLACE
        text = orjson.dumps(document).decode()
        place = json.dumps(_PLACE)
        if self.mutation == DOUBLED:
            return text.replace(place, f"{member},{json.dumps(last)}:null").encode()
        if self.mutation == DOUBLED_BEFORE:
            return text.replace(place, f"[],{json.dumps(last)}:{member}").encode()
        return text.replace(place, WRONG[self.mutation]).encode()


def _like(around: Any, step: Step, place: int) -> Step:
    """Return the step, or where that is an id that another run made, the one in its place."""
    if isinstance(around, list) or step in around:
        return step
    names: list[str] = list(around)
    return names[place]


def cases_of(answers: list[Answer]) -> Iterator[Case]:
    """Yield every case: each member of each answer, and each answer as a whole."""
    for answer in answers:
        try:
            document = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            document = None
        for path, places in _paths(document):
            mutations = list(WRONG)
            if path:
                mutations.append(DELETED)
            if path and isinstance(path[-1], str):
                mutations += [DOUBLED, DOUBLED_BEFORE]
            for mutation in mutations:
                yield Case(answer.number, answer.request, path, places, mutation)


def _paths(
    value: Any, path: tuple[Step, ...] = (), places: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[Step, ...], tuple[int, ...]]]:
    yield path, places
    inner: list[tuple[Step, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for place, (step, item) in enumerate(inner):
        yield from _paths(item, (*path, step), (*places, place))


class Mutator:
    """Stands between the sandbox and its callers: looks at the answers, or changes one."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.struck = False
        self._case: Case | None = None
        self._armed = False

    def arm(self, case: Case | None) -> None:
        """Look at the answers from now on, and change one; None only looks."""
        self._case = case
        self.answers = []
        self.struck = False
        self._armed = True

    def disarm(self) -> None:
        self._armed = False

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if not self._armed or not isinstance(response, web.Response):
            return response
        assert isinstance(response.body, bytes)
        path = "/".join("*" if len(part) >= 36 else part for part in request.path.split("/"))
        path = path.removeprefix("/rest/v1").removeprefix("/rest/v2")
        number = len(self.answers) + 1
        answer = Answer(number, f"{request.method} {path}", response.body)
        self.answers.append(answer)
        case = self._case
        if case is None or (case.number, case.request) != (answer.number, answer.request):
            return response
        try:
            changed = case.apply(response.body)
        except (LookupError, TypeError):
            return response
        self.struck = True
        return web.Response(
            status=response.status, body=changed, content_type=response.content_type
        )
