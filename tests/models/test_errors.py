"""One line with field, value and remedy; one family; errors that cross process borders."""

from __future__ import annotations

import pickle
import re

import pytest

from fdht_models import errors
from fdht_models.errors import ConfigError, FdhtError, near_matches


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "must be a power of two"),
        ({"field": "clock"}, "clock: must be a power of two"),
        ({"field": "clock", "value": 7}, "clock = 7: must be a power of two"),
        ({"field": "clock", "value": 0}, "clock = 0: must be a power of two"),
        (
            {"field": "clock", "value": "7 MHz", "remedy": "use 8"},
            "clock = '7 MHz': must be a power of two; use 8",
        ),
        ({"value": 7, "remedy": "use 8"}, "must be a power of two; use 8"),
    ],
)
def test_message_names_field_value_and_remedy(arguments, message):
    assert str(FdhtError("must be a power of two", **arguments)) == message


def test_message_is_one_line():
    error = FdhtError("two\nlines  and\ttabs", field="a", value="b", remedy="c\n d")
    assert str(error) == "a = 'b': two lines and tabs; c d"
    assert "\n" not in str(FdhtError("is bad", field="text", value="first\nsecond"))


@pytest.mark.parametrize("part", ["problem", "field", "value", "remedy"])
def test_a_line_is_short_whatever_it_is_told(part):
    parts = {"problem": "is bad", "field": "clock", "value": "7 MHz", "remedy": "use 8"}
    error = FdhtError(**{**parts, part: "begin " + "x" * 5000 + " end"})
    assert len(str(error)) <= errors.MOST_CHARACTERS
    assert "begin" in str(error) and "end" in str(error)
    assert re.search(r"\(5,01\d characters\)", str(error))
    for name, text in parts.items():
        assert name == part or text in str(error)
    assert getattr(error, part) == "begin " + "x" * 5000 + " end"


def test_all_parts_may_be_long():
    long = {part: part + "x" * 5000 for part in ("problem", "field", "value", "remedy")}
    line = str(FdhtError(**long))
    assert len(line) <= errors.MOST_CHARACTERS
    assert all(part in line for part in long)


def test_a_line_of_just_the_most_characters_is_left_as_it_is():
    assert str(FdhtError("x" * 400)) == "x" * 400


def test_values_that_cannot_be_shown_are_named():
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert str(FdhtError("is bad", field="a", value=nested)) == (
        "a = a list that cannot be shown: is bad"
    )
    assert "a int that cannot be shown" in str(FdhtError("is bad", field="a", value=10**5000))


def test_the_parts_stay_readable():
    error = ConfigError("is bad", field="a.b", value=3, remedy="change it")
    assert (error.problem, error.field, error.value, error.remedy) == (
        "is bad",
        "a.b",
        3,
        "change it",
    )


def test_every_error_is_of_the_family():
    family = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    found = {kind.__name__ for kind in family if issubclass(kind, Exception)}
    assert len(found) >= 11
    for kind in family:
        if issubclass(kind, Exception):
            assert issubclass(kind, FdhtError), kind


def test_a_timeout_is_a_device_error():
    with pytest.raises(errors.DeviceError):
        raise errors.DeviceTimeoutError("did not answer")


def test_errors_survive_pickling_as_from_a_worker_process():
    error = ConfigError("is bad", field="a.b", value=(1, 2), remedy="change it")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is ConfigError
    assert str(again) == str(error) == "a.b = (1, 2): is bad; change it"
    assert vars(again) == vars(error)


@pytest.mark.parametrize(
    ("value", "choices", "text"),
    [
        ("pynq-z1", ["zcu104", "pynq-z2", "kv260"], "did you mean 'pynq-z2'?"),
        ("tan", ["tanh", "atan"], "did you mean 'atan' or 'tanh'?"),
        ("xyzzy", ["b", "a"], "choose one of a, b"),
        ("xyzzy", [], "there is none to choose from"),
    ],
)
def test_near_matches(value, choices, text):
    found = near_matches(value, choices)
    if " or " in text:
        assert sorted(found[len("did you mean ") : -1].split(" or ")) == ["'atan'", "'tanh'"]
    else:
        assert found == text
