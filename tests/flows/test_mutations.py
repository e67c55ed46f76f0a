"""Any JSON in place of any member of any answer: right, or a clear error, and no harm.

A sample of some flows by default. ``ICURE_MUTATIONS=all`` tries everything, about 120,000 cases of
the flavour of 2023 and 180,000 of today's, of which each takes a tenth of a second; a number is the
size of the sample of each flow.
"""

from __future__ import annotations

import asyncio
import os
import random
import traceback
from collections import Counter
from collections.abc import Iterator

import pytest

from icure_async import KeyPair
from icure_async.authentication import completion as authentication
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import ICureError
from icure_async.models.flavour import Flavour
from icure_async.sandbox import app, server
from tests.support.counts import Count
from tests.support.mutation_scenes import (
    FLOWS,
    FLOWS_OF_TODAY,
    MORE_FLOWS_OF_TODAY,
    Flow,
    Place,
    World,
    build_worlds,
    check_aftermath,
)
from tests.support.mutations import WRONG, Answer, Case, Mutator, cases_of
from tests.support.samples import today
from tests.support.shortcuts import make_key_pairs

pytestmark = pytest.mark.timeout(900)

OPTION = "ICURE_MUTATIONS"
SAMPLE = 6
SECONDS = 20.0
KEY_PAIRS = 4

_wanted = os.environ.get(OPTION)
PARTS = 8 if _wanted == "all" else 1

SCENES: list[tuple[Flavour, type[Flow]]] = [
    *(("medtech", make) for make in (FLOWS if _wanted else FLOWS[today() % 2 :: 2])),
    *(("cardinal", make) for make in FLOWS_OF_TODAY),
    *(("cardinal", make) for make in (MORE_FLOWS_OF_TODAY if _wanted else ())),
]


def _sample_of(everything: int) -> int:
    """Return how many cases of a flow to try."""
    if _wanted == "all":
        return everything
    return min(everything, int(_wanted) if _wanted else SAMPLE)


class Bench:
    """Runs flows on stages that are as new each time."""

    def __init__(self) -> None:
        self.mutator = Mutator()
        self.parsed = SoftwareCrypto()
        self.pairs: list[KeyPair] = []
        self._worlds: dict[Flavour, dict[str, World]] = {}

    async def set_up(self) -> None:
        self.pairs = await make_key_pairs(KEY_PAIRS)

    async def worlds(self, flavour: Flavour) -> dict[str, World]:
        """Return the stages of a flavour, made once."""
        if flavour not in self._worlds:
            self._worlds[flavour] = await build_worlds(
                self.mutator, self.parsed, self.pairs, flavour
            )
        return self._worlds[flavour]

    async def record(self, flavour: Flavour, make: type[Flow]) -> list[Case]:
        """Return all cases of a flow, whose answers are right this time."""
        assert await self.outcome(flavour, make, None) == "right"
        return list(cases_of(self.answers))

    async def outcome(self, flavour: Flavour, make: type[Flow], case: Case | None) -> str:
        """Return the outcome of a run: right, an error of ours, or one that must not be."""
        world = (await self.worlds(flavour))[make.stage]
        async with Place(world, self.mutator, self.parsed, self.pairs) as place:
            flow = make(place)
            await flow.prepare()
            self.mutator.arm(case)
            said = ""
            try:
                async with asyncio.timeout(SECONDS):
                    await flow.run()
            except ICureError as error:
                said = str(error)
            except TimeoutError:
                return "hang"
            except AssertionError as error:
                return f"wrong: accepted: {error}"
            except Exception:
                return f"raw: {traceback.format_exc(limit=-2)}"
            finally:
                self.answers = list(self.mutator.answers)
                struck = self.mutator.struck
                self.mutator.disarm()
            if not all(character.isprintable() for character in said):
                return "wrong: the message has control characters"
            try:
                await check_aftermath(flow, case, finished=not said)
            except (AssertionError, ICureError) as error:
                return f"wrong: afterwards: {type(error).__name__}: {error}"
        if case is not None and not struck:
            return "not struck"
        return "an ICureError" if said else "right"


ANSWER = Answer(1, "GET /x", b'{"a":{"b":[1,"two"]},"c":"three"}')


def test_every_member_is_changed_in_every_way() -> None:
    cases = list(cases_of([ANSWER]))
    places = {case.path for case in cases}
    assert places == {(), ("a",), ("a", "b"), ("a", "b", 0), ("a", "b", 1), ("c",)}
    bodies = {case.apply(ANSWER.body) for case in cases if case.path == ("a", "b", 1)}
    assert len(bodies) == len(WRONG) + 1
    assert {b'{"a":{"b":[1]},"c":"three"}', b'{"a":{"b":[1,NaN]},"c":"three"}'} < bodies
    assert {case.apply(ANSWER.body) for case in cases if case.path == ("c",)} >= {
        b'{"a":{"b":[1,"two"]},"c":"three","c":null}',
        b'{"a":{"b":[1,"two"]},"c":[],"c":"three"}',
        b'{"a":{"b":[1,"two"]},"c":1e400}',
    }


def test_a_name_that_is_new_in_each_run_is_found_by_its_place() -> None:
    (case,) = (
        case for case in cases_of([ANSWER]) if case.path == ("a", "b") and case.mutation == "null"
    )
    assert case.apply(b'{"other":{"new":5},"c":6}') == b'{"other":{"new":null},"c":6}'


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench()
    with pytest.MonkeyPatch.context() as patch:
        build_app = app.build_app

        def with_mutations(*args: object) -> object:
            built = build_app(*args)  # type: ignore[arg-type]
            built.middlewares.insert(0, made.mutator.middleware)
            return built

        patch.setattr(server, "build_app", with_mutations)
        asyncio.run(made.set_up())
        yield made


@pytest.fixture(autouse=True)
def _quick(
    keys_made_once: None,
    keys_validated_once: None,
    cheap_hashes: None,
    no_pauses: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(authentication, "SIGN_IN_PAUSE_SECONDS", 0)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("flavour", "make"), SCENES)
async def test_whatever_an_answer_says_nothing_is_lost_and_nothing_wrong_is_believed(
    flavour: Flavour, make: type[Flow], part: int, bench: Bench, count: Count
) -> None:
    everything = await bench.record(flavour, make)
    cases = everything[part::PARTS]
    if _wanted != "all":
        cases = random.Random(make.__name__).sample(cases, _sample_of(len(cases)))
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    for case in cases:
        outcome = await bench.outcome(flavour, make, case)
        outcomes[outcome.partition(":")[0]] += 1
        if outcome not in ("right", "an ICureError", "not struck"):
            failures.append(f"{case}: {outcome}")
    counts = ", ".join(f"{times} {outcome}" for outcome, times in sorted(outcomes.items()))
    name = f"{make.__name__} ({flavour})"
    count(f"{name}: {len(cases)} of {len(everything)} mutations: {counts}")
    assert outcomes["not struck"] < len(cases) / 4
    assert failures == []
