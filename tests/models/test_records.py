"""Records: what the types of a dataclass and its checks let pass, and how the rest is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from fdht_models.documents import MOST_NESTED, parse_json, read_toml_file
from fdht_models.errors import ArtifactError, ConfigError, ShapeError
from fdht_models.records import first_difference, read_record
from fdht_models.settings import whole


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.0

    def __post_init__(self) -> None:
        if self.x > 100:
            raise ShapeError("is too far", field="x", value=self.x)


@dataclass(frozen=True)
class Drawing:
    title: str
    shown: bool
    kind: Literal["line", 2]
    points: tuple[Point, ...]
    pair: tuple[int, str] = (1, "a")
    names: Mapping[str, float] = field(default_factory=dict)
    extra: int | str | None = None
    width: int = field(default=3, metadata={"check": whole(1, 9)})
    any: Any = None


WHOLE = {
    "title": "a",
    "shown": True,
    "kind": "line",
    "points": [{"x": 1, "y": 2}, {"x": 3}],
    "pair": [2, "b"],
    "names": {"n": 1},
    "extra": "e",
    "width": 4,
    "any": [{"x": None}],
}


def read(**changes: Any) -> Drawing:
    return read_record(Drawing, {**WHOLE, **changes}, source="f.json", error=ArtifactError)


def test_a_whole_table_is_read():
    assert read() == Drawing(
        "a", True, "line", (Point(1, 2.0), Point(3)), (2, "b"), {"n": 1.0}, "e", 4, [{"x": None}]
    )
    assert read(extra=None).extra is None and read(extra=5).extra == 5 and read(kind=2).kind == 2
    assert isinstance(read().points[0].y, float)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": None}, "title = null: must be a text"),
        ({"shown": 1}, "shown = 1: must be true or false"),
        ({"kind": 2.0}, r"kind = 2\.0: is not allowed"),
        ({"kind": True}, "kind = True: is not allowed"),
        ({"points": {}}, r"points = \{\}: must be a list"),
        ({"points": "ab"}, "points = 'ab': must be a list"),
        ({"points": [{"x": True}]}, r"points\[0\]\.x = True: must be a whole number"),
        ({"points": [{"x": 6.5}]}, r"points\[0\]\.x = 6\.5: must be a whole number"),
        ({"points": [{"x": 6.0}]}, r"points\[0\]\.x = 6\.0: must be a whole number"),
        ({"points": [{"x": 10**30}]}, r"points\[0\]\.x = 10+: is too large"),
        ({"points": [{"x": 101}]}, r"points\[0\]\.x = 101: is too far"),
        ({"points": [{"x": 1, "y": None}]}, r"points\[0\]\.y = null: must be a number"),
        ({"points": [{"x": 1, "y": 2**53 + 1}]}, r"points\[0\]\.y = \d+: must be a finite"),
        ({"points": [{"x": 1, "y": float("nan")}]}, r"points\[0\]\.y = nan: must be a finite"),
        ({"points": [{}]}, r"points\[0\]\.x: is missing"),
        ({"points": [{"x": 1, "z": 2}]}, r"points\[0\]\.z: there is no such key"),
        ({"pair": [1]}, r"pair = \[1\]: must be a list of 2"),
        ({"names": {"n": "1"}}, r"names\.n = '1': must be a number"),
        ({"extra": 1.5}, r"extra = 1\.5: must be a whole number"),
        ({"extra": False}, "extra = False: must be a whole number"),
        ({"width": 10}, "width = 10: must be a whole number from 1 to 9"),
        ({"width": None}, "width.*: must be a whole number from 1 to 9"),
        ({"widht": 3}, "widht: there is no such key; did you mean 'width'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(changes, said):
    with pytest.raises(ArtifactError, match=rf"f\.json: {said}"):
        read(**changes)


def test_what_is_no_table_is_refused():
    for value in (None, [], "x", 3):
        with pytest.raises(ConfigError, match="must be a table"):
            read_record(Drawing, value)
    with pytest.raises(ConfigError, match=r"a\[1\] = 'x': must be a whole number"):
        read_record(tuple[int, ...], [1, "x"], path="a")


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [
        ({"a": [1, {"b": 2}]}, {"a": (1.0, {"b": 2})}, None),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "a[1].b"),
        ({"a": 1}, {"a": True}, "a"),
        ({"a": 0}, {"a": None}, "a"),
        ({"a": 1}, {"a": 1, "b": None}, "b"),
        ({"a": 1, "c": 1}, {"a": 1}, "c"),
        ([1], [1, 1], ""),
    ],
)
def test_the_first_difference_is_named(first, second, place):
    assert first_difference(first, second) == place


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "two entries 'a'"),
        ("[NaN]", "NaN is no number in JSON"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[1e999]", "1e999 is too large"),
        ("9" * 5000, "is not valid JSON"),
        ("[" * 65 + "]" * 65, "more than 64 deep"),
        ("[" * 10**6, "more than 64 deep"),
        ('{"a":' * 10**5, "more than 64 deep"),
        ('["\\ud800"]', "half of a surrogate pair"),
        ("", "is not valid JSON"),
        ("[1] 2", "is not valid JSON"),
    ],
)
def test_json_that_says_two_things_or_none_is_refused(text, said):
    with pytest.raises(ArtifactError, match=said):
        parse_json(text, "f.json", error=ArtifactError, remedy="write it again")


def test_brackets_in_texts_do_not_nest():
    deep = "[" * MOST_NESTED + "]" * MOST_NESTED
    for text in (deep, '["' + "[" * 1000 + '\\"' + "{" * 1000 + '"]', '["\\ud83d\\ude00"]'):
        parse_json(text, "f.json", error=ArtifactError, remedy="")


def test_toml_is_read_as_strictly(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("\ufeffa = 1\n", encoding="utf-8")
    assert read_toml_file(path) == {"a": 1}
    for text in ("a = " + "[" * 10**5, "a = 1\na = 2\n", "a"):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"x\.toml: is not TOML \("):
            read_toml_file(path)
