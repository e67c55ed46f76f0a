"""One REST call as the endpoints see it, and the forms of their answers."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs
import orjson

from icure_async.sandbox.errors import bad_request, unauthorized
from icure_async.sandbox.hashing import SlowHashes
from icure_async.sandbox.shapes import is_list, is_object, is_string_list, list_in
from icure_async.sandbox.store import Json, Transaction

if TYPE_CHECKING:
    from icure_async.sandbox.clock import Clock
    from icure_async.sandbox.tokens import TokenSigner

__all__ = [
    "MODEL_HEADER",
    "Call",
    "Caller",
    "Endpoint",
    "OwnerType",
    "Reply",
    "Route",
    "Settings",
    "Text",
]

OwnerType = Literal["hcp", "patient", "device"]

MODEL_HEADER = "Cardinal-Model-Standard"
"""The header by which a client says that it reads today's model only."""

_INTEGER = re.compile(r"-?[0-9]{1,15}")


@attrs.frozen
class Settings:
    """The options of the sandbox."""

    profile: Literal["legacy", "strict"]
    code_validity: float
    access_token_validity: float
    refresh_token_validity: float
    max_code_attempts: int
    lenient: bool
    captcha: str | None = attrs.field(repr=False)


@attrs.frozen
class Caller:
    """A caller: a user, and the data owner it acts as."""

    user: Json = attrs.field(repr=False)
    owner_id: str | None
    owner_type: OwnerType | None
    ancestors: tuple[str, ...]
    """Ids of the parents of a healthcare party, from the direct parent upwards."""
    is_admin: bool
    group_id: str = ""
    """Group that the user belongs to, and everything that the caller sees."""
    level: int = 0
    """Strength of the secret that the caller proved itself by (`levels`)."""
    matches: tuple[tuple[str, str], ...] = ()
    """Group and id of each user that the secret opened at the login."""

    @property
    def user_id(self) -> str:
        """Id of the user."""
        user_id: str = self.user["id"]
        return user_id

    @property
    def identities(self) -> frozenset[str]:
        """Ids under which this caller is given access: its own and those of its parents."""
        own = () if self.owner_id is None else (self.owner_id,)
        return frozenset((*own, *self.ancestors))

    @property
    def is_hcp(self) -> bool:
        """True if the caller is a healthcare party."""
        return self.owner_type == "hcp"


@attrs.frozen
class Text:
    """An answer that is plain text, unquoted."""

    value: str = attrs.field(repr=False)


@attrs.frozen
class Reply:
    """An answer with a status of its own; unlike an error it keeps what was written."""

    status: int
    body: Any = attrs.field(repr=False)


@attrs.define
class Call:
    """A request on its way through an endpoint."""

    method: str
    params: Mapping[str, str] = attrs.field(repr=False)
    query: Mapping[str, str] = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    clock: Clock
    settings: Settings
    signer: TokenSigner | None = attrs.field(repr=False)
    raw: bytes = attrs.field(default=b"", repr=False)
    slow: SlowHashes = attrs.field(factory=SlowHashes, repr=False)
    known_caller: Caller | None = attrs.field(default=None, repr=False)
    delegation_keys: frozenset[str] = attrs.field(default=frozenset[str](), repr=False)
    """Those that belong to the access control keys in the header (§14.7)."""
    saves_nothing: bool = False
    """True for a request that is to meet with a conflict when it comes to saving."""
    after_commit: list[Callable[[], None]] = attrs.field(
        factory=list[Callable[[], None]], repr=False
    )

    @functools.cached_property
    def body(self) -> Any:
        """The JSON body, or None; read when an endpoint asks for it, as many ignore theirs."""
        if not self.raw:
            return None
        given = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if given != "application/json" and not given.endswith("+json"):
            raise bad_request("The Content-Type of the body must be application/json")
        try:
            return orjson.loads(self.raw)
        except orjson.JSONDecodeError:
            raise bad_request("The body is no valid JSON") from None

    @property
    def caller(self) -> Caller:
        """The caller.

        Raises:
            ApiError: 401 on a public endpoint, where nobody was authenticated.
        """
        if self.known_caller is None:
            raise unauthorized()
        return self.known_caller

    @property
    def legacy(self) -> bool:
        """True if healthcare parties have the rights they had in 2022-23."""
        return self.settings.profile == "legacy"

    @property
    def standard(self) -> bool:
        """True if the caller reads today's model only, without what is empty (§14.1)."""
        return self.headers.get(MODEL_HEADER, "").strip().lower() == "true"

    @property
    def now_ms(self) -> int:
        """The sandbox's time in milliseconds."""
        return self.clock.now_ms()

    def json_object(self) -> Json:
        """Return the body, which must be a JSON object."""
        if not is_object(self.body):
            raise bad_request("The body must be a JSON object")
        return self.body

    def json_list(self) -> list[Any]:
        """Return the body, which must be a JSON array."""
        if not is_list(self.body):
            raise bad_request("The body must be a JSON array")
        return self.body

    def id_list(self) -> list[str]:
        """Return the ids of a ``{"ids": […]}`` body."""
        ids = list_in(self.json_object(), "ids")
        if not is_string_list(ids):
            raise bad_request("ids must be a list of strings")
        return ids

    def path_ids(self, name: str = "ids") -> list[str]:
        """Return the ids of a comma separated path parameter."""
        return [item for item in self.params[name].split(",") if item]

    def integer_query(self, name: str) -> int | None:
        """Return a query parameter that must be an integer when given."""
        text = self.query.get(name)
        if not text:
            return None
        if not _INTEGER.fullmatch(text):
            raise bad_request(f"{name} must be an integer")
        return int(text)


Endpoint = Callable[[Transaction, Call], Any]
"""Runs inside a transaction; returns JSON, `Text` or `Reply`, or raises an `ApiError`."""


@attrs.frozen
class Route:
    """A method and a path, and what answers there."""

    method: str
    path: str
    endpoint: Endpoint
    public: bool = False
    answers_conflicts: bool = False
    """True if it says itself what could not be saved, instead of by the status 409."""
