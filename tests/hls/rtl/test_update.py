"""The pipeline of an update: when each value is there, and that nothing waits that need not."""

from __future__ import annotations

import pytest

from fdht_hls.engine.pipeline import UpdatePipeline
from fdht_models.tensor.cells.kinds import KINDS
from fdht_models.tensor.cells.operations import Complement, Former, Lookup, Product, Round
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network


def pipeline_of(kind: str) -> UpdatePipeline:
    return UpdatePipeline(build_network(SHAPES[f"ht-{kind}"]).recurrence.cell_program)


def times(pipeline: UpdatePipeline, *kinds: type) -> list[int]:
    return [pipeline.times[step.name] for step in pipeline.program.of(*kinds)]


def test_clocks_of_an_lstm():
    """Arguments 4, gates 6, state 9, result 13, as they were written by hand."""
    pipeline = pipeline_of("lstm")
    assert sorted(times(pipeline, Round)) == [4, 4, 4, 4, 9, 13]
    assert sorted(times(pipeline, Lookup)) == [6, 6, 6, 6, 11]
    assert times(pipeline, Former) == [6]
    assert pipeline.clocks == 13


def test_clocks_of_a_gru():
    """Gates 6, candidate 11, result 14; z waits as z, not as 1 - z, and h is read late."""
    pipeline = pipeline_of("gru")
    assert sorted(times(pipeline, Lookup)) == [6, 6, 11]
    assert times(pipeline, Complement) == times(pipeline, Former) == [11]
    assert sorted(times(pipeline, Product)) == [7, 12, 12]
    assert pipeline.clocks == 14


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_is_there_when_it_is_used(kind):
    pipeline = pipeline_of(kind)
    for step in pipeline.program.steps:
        ready = [pipeline.times[name] for name in step.operands]
        needed = 2 if isinstance(step.operation, Lookup) else 1
        assert pipeline.times[step.name] >= max(ready, default=1) + needed
