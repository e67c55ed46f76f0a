"""The choice of keys to write with: those made here, and those the application confirms."""

from __future__ import annotations

import contextlib
import logging
from collections import defaultdict
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import anyio

from icure_async.errors import ConfigurationError, StorageError
from icure_async.foreign_text import printable
from icure_async.keys.known_keys import KnownKey
from icure_async.mistakes import awaited
from icure_async.models.key_question import KeyQuestion
from icure_async.rest.calls import is_noted_in_call, note_in_call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence

    from icure_async.keys.known_keys import KnownKeys
    from icure_async.models.key_question import KeyHistory

__all__ = ["KeyTrust", "answer_of"]

_log: Final = logging.getLogger(__name__)

_TRUSTED: Final = ("made", "confirmed")
_NOTHING_WRITTEN: Final = "Nothing was written."

# Those that wait for an answer of the application, on behalf of which this code runs.
_waiting: ContextVar[tuple[object, ...]] = ContextVar("waiting", default=())


class KeyTrust:
    """Asks the policy given to the builder about every key that this device has not made.

    Without a policy the backend is believed, as the reference does; a public key that has changed
    is noticed then, and told.

    Args:
        known: what this device remembers.
        policy: returns whether a key may be written with; None believes the backend.
        on_key_change: told of a public key that has changed, where there is no policy.
    """

    def __init__(
        self,
        known: KnownKeys,
        *,
        policy: Callable[[KeyQuestion], Awaitable[bool]] | None = None,
        on_key_change: Callable[[KeyQuestion], Awaitable[None]] | None = None,
    ) -> None:
        self._known = known
        self._policy = policy
        self._on_key_change = on_key_change
        self._changes: dict[KnownKey, KeyQuestion] = {}
        # Of several tasks with the same question, one asks it.
        self._asking: defaultdict[KnownKey, anyio.Lock] = defaultdict(anyio.Lock)

    @property
    def has_policy(self) -> bool:
        """True where the application decides."""
        return self._policy is not None

    @property
    def is_lasting(self) -> bool:
        """True where the next program on this device knows what this one remembers."""
        return self._known.is_lasting

    def refuse_while_asking(self) -> None:
        """Refuse a call of the application from within the function that is asked.

        It would wait for the answer that it is to give.

        Raises:
            ConfigurationError: the application is being asked.
        """
        if self in _waiting.get():
            raise ConfigurationError(
                "The function given to with_public_key_policy() or on_key_change() calls the SDK "
                "while it is asked: it may read with this API object, and write with another one "
                "only. Nothing was written."
            )

    @property
    def changes(self) -> Sequence[KeyQuestion]:
        """The public keys that have changed and were believed all the same."""
        return tuple(self._changes.values())

    @property
    def remarks(self) -> list[str]:
        """Warnings about these changes, in plain sentences."""
        return [
            f"The public key of data owner {printable(change.data_owner_id)} has changed, and is "
            f"encrypted for. Its SHA-256 is {change.digest} now: ask its owner whether that is "
            "right. with_trust_on_first_use() has such changes confirmed."
            for change in self.changes
        ]

    async def encryptable(
        self, own_id: str, owner_id: str, public_keys: Iterable[str]
    ) -> list[str]:
        """Return those public keys that the backend names for a data owner which may be used.

        Args:
            own_id: id of the current data owner.
            owner_id: whose they are said to be: the one who was asked for.
            public_keys: hex of the SPKI of each.

        Raises:
            ValueError: a public key is not hex.
            StorageError: there is a policy, and what is remembered can't be read.
        """
        # All questions before the first answer: an owner who is new may have several keys.
        questions: dict[KnownKey, tuple[str, KeyQuestion | None]] = {}
        for public_key in public_keys:
            key = KnownKey.public(owner_id, public_key)
            questions[key] = public_key, await self._question(own_id, key, public_key.lower())
        usable: list[str] = []
        for key, (public_key, question) in questions.items():
            if self._policy is None:
                await self._notice(own_id, key, question)
                usable.append(public_key)
            elif question is None or await self._is_confirmed(own_id, key, question, self._policy):
                usable.append(public_key)
        return usable

    async def first_usable(
        self, own_id: str, owner_id: str, delegate_id: str, exchange_keys: Iterable[bytes]
    ) -> bytes | None:
        """Return the first exchange key that may be written with, those made here before others.

        Args:
            own_id: id of the current data owner.
            owner_id: who is said to have made them.
            delegate_id: for whom they are said to be.
            exchange_keys: as the backend has them.

        Raises:
            StorageError: there is a policy, and what is remembered can't be read.
        """
        candidates = {
            KnownKey.exchange(owner_id, delegate_id, exchange_key): exchange_key
            for exchange_key in exchange_keys
        }
        if self._policy is None:
            return next(iter(candidates.values()), None)
        questions = {key: await self._question(own_id, key) for key in candidates}
        for key, question in sorted(questions.items(), key=lambda item: item[1] is not None):
            if question is None or await self._is_confirmed(own_id, key, question, self._policy):
                return candidates[key]
        return None

    async def is_recovered(self, own_id: str, public_key: str) -> bool:
        """Return whether a key pair came through the backend's documents, as the policy sees it."""
        if self._policy is None:
            return False
        key = KnownKey.public(own_id, public_key)
        return await self._known.origin_of(own_id, key) == "recovered"

    async def confirmed_before(self, own_id: str, public_key: str) -> bool:
        """Return whether the policy has confirmed a public key of the current data owner."""
        try:
            key = KnownKey.public(own_id, public_key)
            return await self._known.origin_of(own_id, key) in _TRUSTED
        except (ValueError, StorageError):
            return False

    async def is_of_device(self, own_id: str, public_key: str) -> bool:
        """Return whether a key pair did not come through the backend, or the policy confirmed it.

        Raises:
            StorageError: what is remembered can't be read.
        """
        origin = await self._known.origin_of(own_id, KnownKey.public(own_id, public_key))
        return origin != "recovered"

    async def is_confined(self, own_id: str, delegate_id: str, exchange_key: bytes) -> bool:
        """Return whether an exchange key was made here for confirmed keys only, or is confirmed.

        Raises:
            StorageError: what is remembered can't be read.
        """
        key = KnownKey.exchange(own_id, delegate_id, exchange_key)
        return await self._known.origin_of(own_id, key) in _TRUSTED

    def note_made(
        self, own_id: str, delegate_id: str, exchange_key: bytes, *, is_confined: bool = False
    ) -> None:
        """Take note of an exchange key that this device has made, to be saved before it goes out.

        Args:
            own_id: id of the current data owner.
            delegate_id: for whom it is.
            exchange_key: the exchange key.
            is_confined: whether only key pairs of this device get it. Else, without a policy, it is
                given to public keys that nobody has confirmed: a later policy is asked about it.
        """
        key = KnownKey.exchange(own_id, delegate_id, exchange_key)
        self._known.note(own_id, key, "made" if self.has_policy or is_confined else "seen")

    async def save(self, own_id: str) -> None:
        """Write down what was noted of keys, before anything that is made with them is sent."""
        await self._known.save(own_id)

    async def remember_recovered(self, own_id: str, public_key: str) -> None:
        """Remember that a key pair of the user's own came through the backend's documents."""
        await self._known.remember(own_id, KnownKey.public(own_id, public_key), "recovered")

    async def _is_confirmed(
        self,
        own_id: str,
        key: KnownKey,
        question: KeyQuestion,
        policy: Callable[[KeyQuestion], Awaitable[bool]],
    ) -> bool:
        self.refuse_while_asking()
        async with self._asking[key]:
            if await self._known.origin_of(own_id, key) in _TRUSTED:
                return True
            # A no holds for the whole of a call, which may come by the same key several times.
            if is_noted_in_call((self, own_id, key)):
                return False
            with self._asking_application():
                answer = await answer_of(policy, question, "with_public_key_policy")
            if answer:
                await self._known.remember(own_id, key, "confirmed")
            else:
                note_in_call((self, own_id, key))
                _log.warning(
                    "The %s of data owner %s with the SHA-256 %s is not confirmed: nothing is "
                    "written with it",
                    key.kind.replace("_", " "),
                    printable(key.owner_id),
                    key.digest,
                )
            return answer

    async def _notice(self, own_id: str, key: KnownKey, question: KeyQuestion | None) -> None:
        """Tell of a public key that has changed, and remember it."""
        if question is None or question.history == "seen":
            return
        if question.history == "changed" and key.owner_id != own_id:
            self._changes[key] = question
            _log.warning(
                "The public key of data owner %s has changed: its SHA-256 is %s now",
                printable(key.owner_id),
                key.digest,
            )
            if self._on_key_change is not None:
                self.refuse_while_asking()
                with self._asking_application():
                    await awaited(
                        self._on_key_change(question), "on_key_change()", _NOTHING_WRITTEN
                    )
        self._known.note(own_id, key, "seen")

    @contextlib.contextmanager
    def _asking_application(self) -> Generator[None, None, None]:
        token = _waiting.set((*_waiting.get(), self))
        try:
            yield
        finally:
            _waiting.reset(token)

    async def _question(
        self, own_id: str, key: KnownKey, public_key: str | None = None
    ) -> KeyQuestion | None:
        """Return the question about a key, or None for one that is trusted."""
        try:
            origin = await self._known.origin_of(own_id, key)
            has_changed = await self._known.has_others(own_id, key)
        except StorageError:
            if self._policy is not None:
                raise
            _log.warning("The keys that this device remembers can't be read: no change is noticed")
            origin, has_changed = None, False
        if origin in _TRUSTED:
            return None
        history: KeyHistory = "new"
        if origin is not None:
            history = "seen"
        elif has_changed or (self._policy is not None and self._known.is_doubtful(own_id)):
            history = "changed"
        return KeyQuestion(
            kind=key.kind,
            data_owner_id=key.owner_id,
            delegate_id=key.delegate_id or None,
            digest=key.digest,
            history=history,
            public_key=public_key,
        )


async def answer_of(
    function: Callable[[KeyQuestion], Awaitable[bool]], question: KeyQuestion, method: str
) -> bool:
    """Return the answer of a function of the application.

    Args:
        function: as it was given to the builder.
        question: what it is asked.
        method: of the builder, for the message.

    Raises:
        ConfigurationError: it answers neither yes nor no.
    """
    answer = await awaited(function(question), f"{method}()", _NOTHING_WRITTEN)
    if not isinstance(answer, bool):
        # A coroutine that nobody awaited would count as yes.
        raise ConfigurationError(
            f"The function given to {method}() must return True or False, and returned a "
            f"{type(answer).__name__}. {_NOTHING_WRITTEN}"
        )
    return answer
