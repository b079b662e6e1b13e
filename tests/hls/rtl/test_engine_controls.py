"""Negative controls: an engine with a mistake in it must not pass for a right one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fdht_hls.rtl import contraction, engine, update, walk
from fdht_hls.rtl.arithmetic import code_shape
from fdht_hls.rtl.words import WordQueue
from fdht_hls.schedule import choices, default_schedule, shapes_of
from fdht_hls.shapes import StageShape, stage_shape
from tests.hls.rtl import simulation
from tests.hls.rtl.simulation import StalledError, assert_equal_to_reference
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network, random_frames


def compare(label: str = "ht-lstm-integrated") -> None:
    network = build_network(SHAPES[label])
    assert_equal_to_reference(network, random_frames(network, 3))


def test_what_is_changed_below_is_right_before():
    compare()
    compare("kcp-vectors-lstm")


def test_a_stage_that_truncates_is_caught(monkeypatch):
    def truncate(module, value, fraction, target):
        from amaranth.hdl import Signal

        result = Signal(code_shape(target))
        module.d.comb += result.eq(value >> (fraction - target.fraction))
        return result

    monkeypatch.setattr(contraction, "round_saturate", truncate)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        compare()


def test_a_dropped_word_is_caught(monkeypatch):
    class Leaky(WordQueue):
        """Takes its fifth word and forgets it."""

        def elaborate(self, platform):
            from amaranth.hdl import Module, Signal
            from amaranth.lib import wiring

            module, count = Module(), Signal(range(6))
            module.submodules.queue = queue = WordQueue(self.words.payload.shape(), self.depth)
            taken = self.words.valid & self.words.ready
            with module.If(taken & (count < 5)):
                module.d.sync += count.eq(count + 1)
            module.d.comb += [
                queue.words.payload.eq(self.words.payload),
                queue.words.valid.eq(self.words.valid & (count != 4)),
                self.words.ready.eq(queue.words.ready),
            ]
            wiring.connect(module, wiring.flipped(self.result), queue.result)
            return module

    monkeypatch.setattr(engine, "WordQueue", Leaky)
    monkeypatch.setattr(simulation, "PATIENCE", 1000)
    with pytest.raises(StalledError, match="no word for 1000 clocks"):
        compare()


def test_a_wrong_bank_is_caught(monkeypatch):
    label = "kcp-vectors-lstm"
    path = build_network(SHAPES[label]).recurrence.input_path
    shapes = [stage_shape(path, position) for position in range(len(path.plan.stages))]
    assert any(shape.lanes > shape.banks > 1 for shape in shapes), "no bank to take for another"
    right = walk.Loops.__init__

    def swapped(self, shape, schedule):
        right(self, shape, schedule)
        self.bank_stride = self.lanes // self.banks // self.bank_stride

    monkeypatch.setattr(walk.Loops, "__init__", swapped)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        compare(label)


@pytest.mark.parametrize("stage", [0, 1])
def test_fibres_that_change_places_are_caught(stage, monkeypatch):
    """In the word of the first stage, and in that of the second, which meets each with its own
    weights."""
    network = build_network(SHAPES["ht-lstm-integrated"])
    frames = random_frames(network, 3)
    path, usual = network.recurrence.input_path, default_schedule(network.recurrence)
    stages = tuple(choices(shape)[-1] for shape in shapes_of(path, 2))
    schedule = replace(usual, input=stages)
    assert_equal_to_reference(network, frames, schedule)
    right = StageShape.places

    def swapped(self, vector):
        places = right(self, vector)
        if self.together != 2 or self.fibre == bool(stage):
            return places
        half = self.word_in // 2
        return [(place + half) % self.word_in for place in places]

    monkeypatch.setattr(StageShape, "places", swapped)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        assert_equal_to_reference(network, frames, schedule)


def test_a_bias_of_another_gate_is_caught(monkeypatch):
    right = update.bias_of
    monkeypatch.setattr(update, "bias_of", lambda *given: list(right(*given))[::-1])
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        compare()


def test_an_update_that_takes_values_of_another_unit_is_caught(monkeypatch):
    """What waits in registers waits a clock too long."""
    right = update.Values.at
    monkeypatch.setattr(
        update.Values,
        "at",
        lambda own, name, time: right(own, name, time + (own.times[name] < time)),
    )
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        compare("ht-gru-integrated")
