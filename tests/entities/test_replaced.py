"""The documents that changed records replace: the last ones that were read, with all their keys."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from icure_async import HealthcareProfessional
from icure_async.entities.replaced import Replaced
from icure_async.errors import InvalidResponseError
from tests.support.golden import WORLD2

Json = dict[str, Any]

STAGE: Json = WORLD2["stages"]["14-people"]["entities"]["hcparty"]
HCP: Json = STAGE[WORLD2["users"]["hcpA"]["dataOwnerId"]]
CUT: Json = {name: value for name, value in HCP.items() if name != "hcPartyKeys"}


def record_of(document: Json) -> HealthcareProfessional:
    return HealthcareProfessional(id=document["id"], rev=document["rev"])


@pytest.fixture
def replaced() -> Replaced:
    return Replaced("healthcare professional")


def test_a_document_that_was_read_is_known_by_its_revision(replaced: Replaced) -> None:
    assert replaced.by(record_of(HCP)) is None
    replaced.note(HCP)
    assert replaced.by(record_of(HCP)) == HCP
    assert replaced.by(record_of(HCP | {"rev": "9-x"})) is None
    replaced.note(HCP | {"rev": "9-x"})
    assert replaced.by(record_of(HCP)) is None


def test_one_that_looks_cut_off_is_not_written_back(replaced: Replaced) -> None:
    replaced.note(CUT)
    assert replaced.by(record_of(HCP)) is None
    replaced.note(HCP)
    assert replaced.by(record_of(HCP)) == HCP


def test_one_that_a_second_answer_confirms_is(replaced: Replaced) -> None:
    replaced.note(CUT, is_confirmed=True)
    assert replaced.by(record_of(CUT)) == CUT
    # It stays so when it is read again.
    replaced.note(copy.deepcopy(CUT))
    assert replaced.by(record_of(CUT)) == CUT


def test_answers_that_contradict_each_other_are_refused_once(replaced: Replaced) -> None:
    replaced.note(HCP)
    with pytest.raises(InvalidResponseError, match="two things"):
        replaced.note(CUT)
    assert replaced.by(record_of(HCP)) is None
    replaced.note(HCP)
    assert replaced.by(record_of(HCP)) == HCP


def test_no_more_than_a_thousand_are_kept(replaced: Replaced) -> None:
    first: Json = {"id": "0", "rev": "1-x"}
    for number in range(1001):
        replaced.note({"id": str(number), "rev": "1-x"})
    assert replaced.by(record_of(first)) is None
    assert replaced.by(record_of(first | {"id": "1000"})) is not None
