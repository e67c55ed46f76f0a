"""A model is its class alone: reading and writing it needs nothing else."""

import copy
import pickle
from typing import Any, Literal

import attrs
import pytest

from icure_async.errors import InvalidResponseError, ValidationError
from icure_async.models import CodingReference
from icure_async.models.base import EntityModel, Model, ValueModel
from icure_async.models.wire import from_wire, prepare, to_wire


@attrs.define(kw_only=True, repr=False)
class Seal(ValueModel):
    """Members that lie flat in the document."""

    wax: str | None = None
    stamps: list[str] = attrs.field(factory=list[str])


@attrs.define(kw_only=True, repr=False)
class Leaf(ValueModel):
    """A value that may hold others of its kind."""

    text: str | None = attrs.field(default=None, metadata={"wire": "txt"})
    scan: bytes | None = None
    weight: float | None = None
    leaves: "list[Leaf]" = attrs.field(factory=list)


@attrs.define(kw_only=True, repr=False)
class Branch(ValueModel):
    """A value whose last member may be an odd one."""

    branches: "list[Branch]" = attrs.field(factory=list)
    scan: bytes | None = None


@attrs.define(kw_only=True, repr=False)
class PaperScroll(EntityModel):
    """A record with a field of each kind."""

    title: str | None = attrs.field(default=None, metadata={"wire": "heading"})
    tone: Literal["grave", "gay"] | None = None
    pages: int | None = None
    bound: bool | None = None
    written: int | None = attrs.field(default=None, metadata={"is_fuzzy_date": True})
    cover: Leaf | None = None
    leaves: list[Leaf] = attrs.field(factory=list[Leaf])
    readers: dict[str, list[Leaf]] | None = None
    labels: list[CodingReference] = attrs.field(
        factory=list[CodingReference], metadata={"wire": "tags"}
    )
    seal: Seal | None = attrs.field(default=None, metadata={"flat": True})


STORED: dict[str, Any] = {
    "id": "s",
    "rev": "1-a",
    "heading": "The dance",
    "tone": "unheard of",
    "pages": 2**70,
    "bound": False,
    "written": 2990000,
    "cover": {"txt": "gold", "leaves": [{"leaves": [{"scan": "_-8="}]}], "text": "newer"},
    "leaves": [{"weight": 1, "x": {"y": [1]}}, {}],
    "readers": {"Sam": [{"txt": "read"}], "Gilly": []},
    "wax": "red",
    "stamps": ["dragon"],
    "title": "newer",
    "colours": [{"red": 1}],
}


def test_a_model_is_read_from_the_wire_by_its_fields() -> None:
    scroll = from_wire(PaperScroll, STORED)
    assert scroll == PaperScroll(
        id="s",
        rev="1-a",
        title="The dance",
        tone="unheard of",  # type: ignore[arg-type]
        pages=2**70,
        bound=False,
        written=2990000,
        cover=Leaf(text="gold", leaves=[Leaf(leaves=[Leaf(scan=b"\xff\xef")])]),
        leaves=[Leaf(weight=1), Leaf()],
        readers={"Sam": [Leaf(text="read")], "Gilly": []},
        seal=Seal(wax="red", stamps=["dragon"]),
    )
    assert scroll.unknown_fields == {"title": "newer", "colours": [{"red": 1}], "pages": 2**70}


def test_what_was_read_is_written_as_it_came() -> None:
    scroll = from_wire(PaperScroll, STORED)
    for same in (
        scroll,
        copy.deepcopy(scroll),
        scroll.evolve(),
        pickle.loads(pickle.dumps(scroll)),
    ):
        assert to_wire(same) == STORED
    assert to_wire(scroll.evolve(pages=5, tone="gay")) == {**STORED, "pages": 5, "tone": "gay"}


def test_the_json_of_the_documentation_has_its_own_names() -> None:
    scroll = from_wire(PaperScroll, STORED)
    document = scroll.to_dict()
    assert document["title"] == "The dance"
    assert document["seal"] == {"wax": "red", "stamps": ["dragon"]}
    assert document["cover"]["leaves"][0]["leaves"][0]["scan"] == "/+8="
    assert PaperScroll.from_dict(document) == scroll
    assert PaperScroll.from_dict({}).unknown_fields is None
    one, other = Leaf.from_dict({}), Leaf.from_dict({})
    one.unknown_fields["x"] = one.assumed_fields["y"] = 1
    assert other.unknown_fields == other.assumed_fields == {}


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        ({"heading": 5}, "a paper scroll that cannot be read: heading is not a text"),
        ({"tone": 5}, "tone is not a text"),
        ({"cover": {"leaves": [{}, {"txt": 5}]}}, r"cover\.leaves\[1\]\.txt is not a text"),
        ({"readers": {"S3CRET": {}}}, r"readers\[\*\] is not a list"),
        ({"stamps": ["dragon", 5]}, r": stamps\[1\] is not a text"),
        ({"leaves": [{1: 2}]}, r"leaves\[0\] has a member whose name is not a text"),
    ],
)
def test_errors_say_where(wire: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidResponseError, match=message) as caught:
        from_wire(PaperScroll, wire)
    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize("odd", [{"scan": "_-8="}, {"scan": None}])
def test_odd_values_at_each_depth_do_not_double_the_time_of_reading(odd: dict[str, Any]) -> None:
    document = odd
    for _ in range(40):
        document = {**odd, "branches": [document]}
    branch = from_wire(Branch, document)
    for _ in range(40):
        (branch,) = branch.branches
    assert to_wire(branch) == {name: value for name, value in odd.items() if value}


def test_a_wrong_value_deep_inside_does_not_double_the_time_of_reading() -> None:
    document: dict[str, Any] = {"scan": 5}
    for _ in range(40):
        document = {"branches": [document]}
    with pytest.raises(InvalidResponseError, match=r": (branches\[0\]\.){40}scan is not a text"):
        from_wire(Branch, document)


def test_a_member_of_the_wire_is_unknown_to_the_documentation() -> None:
    with pytest.raises(ValidationError, match="PaperScroll: heading is not a known member"):
        PaperScroll.from_dict({"heading": "x"})
    with pytest.raises(ValidationError, match="PaperScroll: wax is not a known member"):
        PaperScroll.from_dict({"wax": None})


def test_it_is_prepared_with_all_others() -> None:
    prepare(Model)
    assert from_wire(PaperScroll, {}) == PaperScroll(seal=Seal())
