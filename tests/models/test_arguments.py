"""Checks of arguments: what is taken as it is meant, and the one line for the rest."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from fdht_models.arguments import count, flag, path, positive, seconds
from fdht_models.errors import ConfigError

NO_NUMBERS = [None, "4", b"4", True, np.True_, [1], math.nan, np.float32("nan"), 1j, object()]


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0, -1, -0.5, math.inf, -math.inf, 1e10, 10**400])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^timeout(: | = ).*must be a number above 0") as refused:
        seconds(value, "timeout")
    assert len(str(refused.value)) < 600 and "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [10, 0.5, np.float32(0.5), np.int64(3), np.uint8(1)])
def test_times_of_any_kind_of_number_are_taken(value: object) -> None:
    found = seconds(value, "timeout")
    assert type(found) is float and found == value


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0, -1, 2.5, 2.0, np.float64(2.0), 2**31])
def test_what_is_no_count_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^batch(: | = ).*must be a whole number from 1 to 2147"):
        count(value, "batch")


@pytest.mark.parametrize("value", [1, 32, np.int64(32), np.uint8(255)])
def test_counts_of_any_kind_of_whole_number_are_taken(value: object) -> None:
    found = count(value, "batch")
    assert type(found) is int and found == value


@pytest.mark.parametrize("value", [None, "no", 0, 1, 1.0, [], np.int8(1)])
def test_what_is_no_flag_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^reset(: | = ).*must be True or False"):
        flag(value, "reset")


def test_flags_are_taken() -> None:
    assert flag(np.True_, "reset") is True and flag(False, "reset") is False


@pytest.mark.parametrize("value", [None, 5, b"demo", "", "a\0b", ["demo"], object()])
def test_what_is_no_path_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^overlay(: | = ).*must be a path.*; pass a pathlib"):
        path(value, "overlay")


def test_paths_are_taken() -> None:
    assert path("a/b", "overlay") == path(Path("a/b"), "overlay") == Path("a/b")


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0, -1.0, math.inf])
def test_what_is_not_positive_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="must be a number above 0"):
        positive(value, "gain")


def test_none_is_named_although_an_error_without_a_value_names_none() -> None:
    with pytest.raises(ConfigError) as refused:
        seconds(None, "timeout")
    assert str(refused.value).startswith("timeout: must be a number above 0 and at most ")
    assert str(refused.value).endswith(", not None; give a number of seconds")
