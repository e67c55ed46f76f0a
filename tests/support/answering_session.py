"""A session that answers without a server, and remembers the requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs

from icure_async.rest.responses import Response


@attrs.define
class Asked:
    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: Mapping[str, str]


@attrs.define
class Answers:
    """A session that answers one request after the other."""

    answers: list[Any]
    asked: list[Asked] = attrs.field(factory=list[Asked])

    async def request(
        self,
        method: str,
        path: str,
        *,
        action: str,
        query: str = "",
        body: object = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        **streams: object,
    ) -> Response:
        assert set(streams.values()) <= {None}
        self.asked.append(Asked(method, path, dict(parse_qsl(query)), body, headers or {}))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Response(action, 200, {}, json.dumps(answer).encode(), 0)

    @property
    def seen(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.asked]
