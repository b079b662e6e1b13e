"""Fixtures: the stand-ins of the tools, a conversion, its plan, and one that was built."""

from __future__ import annotations

import pytest

from tests.overlays.plan.tools import by_hand, make_tools, plan_of, write_conversion


@pytest.fixture
def tools(tmp_path, monkeypatch):
    return make_tools(tmp_path / "tools", monkeypatch)


@pytest.fixture
def experiment(tmp_path):
    return write_conversion(tmp_path / "tiny")


@pytest.fixture
def plan(experiment):
    return plan_of(experiment, cosim=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A plan that ran by hand, once for all tests that only look at it or damage a copy of it."""
    directory = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        make_tools(directory / "tools", patch)
        plan = plan_of(write_conversion(directory / "tiny"), cosim=False)
        plan.write(directory / "work")
        assert by_hand(directory / "work").returncode == 0
    return directory
