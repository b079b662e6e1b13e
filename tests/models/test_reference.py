"""The integer reference against the same cell in plain Python integers, loop by loop.

`SlowModel` shares no arithmetic with the code under test: it loops over named indices, adds Python
integers (which cannot overflow), rounds rationals by Python's own half-to-even and checks on its
way that every exact sum fits the format that is promised for it.
"""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_models.errors import ShapeError
from fdht_models.tensor import fixedpoint, reference
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import ContractionPath, QuantizedNetwork, QuantizedRecurrence
from fdht_models.tensor.recurrent import fdht_shape
from fdht_models.tensor.reference import ReferenceModel
from tests.models.strategies import (
    SEEDS,
    SMALL_SHAPE,
    Widths,
    build_network,
    corner_frames,
    quantized_networks,
    random_frames,
    saturate,
)


class SlowModel:
    """An LSTM of a QuantizedNetwork in Python integers; values are Fractions between the steps."""

    def __init__(self, network: QuantizedNetwork) -> None:
        self.network = network
        self.hidden = [0] * network.recurrence.units
        self.cell = [0] * network.recurrence.units

    def run(self, frames: np.ndarray) -> list[list[int]]:
        return [self.step([int(value) for value in frame]) for frame in frames]

    def step(self, frame: list[int]) -> list[int]:
        lstm, cell = self.network.recurrence, self.network.recurrence.cell
        units = lstm.units
        from_input, input_fraction = self.contract(lstm.input_path, frame)
        from_hidden, hidden_fraction = self.contract(lstm.hidden_path, self.hidden)
        pre = []
        for row in range(4 * units):
            exact = (
                value(from_input[row], input_fraction)
                + value(from_hidden[row], hidden_fraction)
                + value(int(cell.bias.codes[row]), cell.bias.format.fraction)
            )
            self.must_hold(lstm.sums["preactivation"], exact)
            pre.append(rounded(exact, cell.preactivation))
        new_hidden = []
        for unit in range(units):
            forget = look_up(cell.gate, pre[unit], cell.preactivation)
            update = look_up(cell.gate, pre[units + unit], cell.preactivation)
            candidate = look_up(cell.candidate, pre[2 * units + unit], cell.preactivation)
            output = look_up(cell.gate, pre[3 * units + unit], cell.preactivation)
            exact = forget * value(self.cell[unit], cell.cell.fraction) + update * candidate
            self.must_hold(lstm.sums["cell"], exact)
            self.cell[unit] = rounded(exact, cell.cell)
            squashed = look_up(cell.output, self.cell[unit], cell.cell)
            new_hidden.append(rounded(output * squashed, cell.hidden))
        self.hidden = new_hidden
        return [self.logit(position) for position in range(len(self.network.classes))]

    def logit(self, position: int) -> int:
        head, hidden = self.network.head, self.network.recurrence.cell.hidden
        exact = value(int(head.bias.codes[position]), head.bias.format.fraction)
        for unit, code in enumerate(self.hidden):
            weight = value(int(head.weights.codes[unit, position]), head.weights.format.fraction)
            exact += weight * value(code, hidden.fraction)
        self.must_hold(self.network.logit_format, exact)
        scaled = exact * Fraction(2) ** self.network.logit_format.fraction
        assert scaled.denominator == 1
        return int(scaled)

    def contract(self, path: ContractionPath, codes: list[int]) -> tuple[list[int], int]:
        """Codes in the order of the outputs, and their fractional bits."""
        lstm, plan = self.network.recurrence, path.plan
        sizes = {index: size for stage in plan.stages for index, size in stage.sizes.items()}
        running = dict(zip(assignments(plan.inputs, sizes), codes, strict=True))
        carried = plan.inputs
        fraction = lstm.stage_input_format(path, 0).fraction
        for position, stage in enumerate(plan.stages):
            stored = lstm.cores[path.cores[position]]
            fraction += stored.format.fraction
            emitted: dict[tuple[int, ...], int] = {}
            every = tuple(dict.fromkeys((*carried, *stage.core_indices)))
            for values in assignments(every, sizes):
                at = dict(zip(every, values, strict=True))
                source = running[tuple(at[index] for index in carried)]
                weight = int(stored.codes[tuple(at[index] for index in stage.core_indices)])
                target = tuple(at[index] for index in stage.output_indices)
                emitted[target] = emitted.get(target, 0) + source * weight
            limits = lstm.accumulator_format(path, position)
            assert limits.fraction == fraction
            for total in emitted.values():
                self.must_hold(limits, value(total, fraction))
            carried, running = stage.output_indices, emitted
            if position < len(path.formats):
                form = path.formats[position]
                running = {
                    key: rounded(value(total, fraction), form) for key, total in emitted.items()
                }
                fraction = form.fraction
        ordered = []
        for values in assignments(plan.outputs, sizes):
            at = dict(zip(plan.outputs, values, strict=True))
            ordered.append(running[tuple(at[index] for index in carried)])
        return ordered, fraction

    @staticmethod
    def must_hold(form: FixedPoint, exact: Fraction) -> None:
        scaled = exact * Fraction(2) ** form.fraction
        assert scaled.denominator == 1, f"{form} has too few fractional bits"
        assert -(2 ** (form.width - 1)) <= scaled < 2 ** (form.width - 1), f"{form} overflows"


def assignments(indices: tuple[str, ...], sizes: dict[str, int]):
    return itertools.product(*(range(sizes[index]) for index in indices))


def value(code: int, fraction: int) -> Fraction:
    return Fraction(code) / Fraction(2) ** fraction


def rounded(exact: Fraction, form: FixedPoint) -> int:
    return saturate(round(exact * Fraction(2) ** form.fraction), form)


def look_up(table: QuantizedArray, code: int, argument: FixedPoint) -> Fraction:
    return value(int(table.codes[code % 2**argument.width]), table.format.fraction)


def with_lstm(network: QuantizedNetwork, **changes: object) -> QuantizedNetwork:
    recurrence = dataclasses.replace(network.recurrence, **changes)
    return dataclasses.replace(network, recurrence=recurrence)


# Equality ---------------------------------------------------------------------------------------


@given(quantized_networks(max_modes=4, max_units=8, max_rank=2), SEEDS)
@settings(max_examples=25)
def test_reference_equals_plain_python_integers(network, seed):
    frames = random_frames(network, 4, seed)
    slow, model = SlowModel(network), ReferenceModel(network)
    np.testing.assert_array_equal(model.run(frames), slow.run(frames))
    np.testing.assert_array_equal(model.states["hidden"], slow.hidden)
    np.testing.assert_array_equal(model.states["cell"], slow.cell)


@pytest.mark.parametrize("signed", [False, True])
def test_reference_equals_plain_python_integers_in_the_corners(signed):
    network = build_network(
        fdht_shape((2, 3, 4), (8, 2, 1), (2, 2), 2, 2), 4, signed_input=signed, jitter=2
    )
    for name, frames in corner_frames(network, 3).items():
        wanted = SlowModel(network).run(frames)
        np.testing.assert_array_equal(ReferenceModel(network).run(frames), wanted, name)


@given(quantized_networks(), SEEDS)
@settings(max_examples=15)
def test_float64_products_equal_int64_ones(network, seed):
    """Every stage, once with the processor's matrix product and once in int64."""
    frames = random_frames(network, 3, seed)
    in_floats: dict[str, list] = {}
    in_integers: dict[str, list] = {}

    def run(kept):
        model = ReferenceModel(network, lambda name, codes: kept.setdefault(name, []).append(codes))
        return model.run(frames)

    logits = run(in_floats)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "_contract_exactly", np.einsum)
        np.testing.assert_array_equal(run(in_integers), logits)
    assert in_floats.keys() == in_integers.keys()
    for name, results in in_floats.items():
        np.testing.assert_array_equal(results, in_integers[name], name)


def test_a_contraction_equals_a_plain_einsum_of_integers_at_the_widest():
    """48-bit sums of the largest codes: still exact in float64, whatever the order."""
    generator = np.random.default_rng(0)
    running = generator.choice([-(2**19), 2**19 - 1], (5, 40, 50))
    core = generator.choice([-(2**17), 2**17 - 1], (50, 7))
    found = reference._contract_exactly("nab,bc->nac", running, core)
    np.testing.assert_array_equal(found, np.einsum("nab,bc->nac", running, core))
    assert found.dtype == np.int64


def test_the_architecture_studys_network_runs():
    """57,600 inputs and 256 units: sizes that the small networks do not reach."""
    network = build_network(
        fdht_shape((10, 12, 20, 24), (16, 8, 4, 2), (8, 4, 8), 4, 4), classes=11
    )
    frames = random_frames(network, 2)
    logits = ReferenceModel(network).run(frames)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "_contract_exactly", np.einsum)
        np.testing.assert_array_equal(ReferenceModel(network).run(frames), logits)
    assert len(np.unique(logits)) > 11


# State ------------------------------------------------------------------------------------------


@given(quantized_networks(), st.lists(st.integers(0, 40), min_size=1, max_size=4), SEEDS)
@settings(max_examples=10)
def test_pieces_of_any_length_equal_one_run(network, pieces, seed):
    frames = random_frames(network, sum(pieces), seed)
    whole = ReferenceModel(network).run(frames)
    model, start, parts = ReferenceModel(network), 0, []
    for length in pieces:
        parts.append(model.run(frames[start : start + length]))
        start += length
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_reset_forgets_and_state_matters():
    network = build_network(seed=1)
    frames = random_frames(network, 5)
    model = ReferenceModel(network)
    first = model.run(frames)
    second = model.run(frames)
    assert (first != second).any(), "the state must carry over"
    model.reset()
    np.testing.assert_array_equal(model.run(frames), first)
    assert not ReferenceModel(network).states["hidden"].any()


def test_no_frame_gives_no_result_and_keeps_the_state():
    network = build_network()
    model = ReferenceModel(network)
    model.run(random_frames(network, 3))
    before = dict(model.states)
    assert model.run(random_frames(network, 0)).shape == (0, 3)
    for name, codes in before.items():
        np.testing.assert_array_equal(model.states[name], codes)


@given(quantized_networks(), SEEDS)
@settings(max_examples=10)
def test_everything_observed_is_in_its_format(network, seed):
    lstm = network.recurrence
    formats = {
        f"{label}.{stage.core}": path.formats[position]
        if position < len(path.formats)
        else lstm.accumulator_format(path, position)
        for label, path in (("input", lstm.input_path), ("hidden", lstm.hidden_path))
        for position, stage in enumerate(path.plan.stages)
    } | {
        "preactivation": lstm.cell.preactivation,
        "cell": lstm.cell.cell,
        "hidden": lstm.cell.hidden,
    }
    seen = set()

    def observe(name, codes):
        seen.add(name)
        assert formats[name].minimum <= codes.min() and codes.max() <= formats[name].maximum

    model = ReferenceModel(network, observe)
    for frames in (random_frames(network, 2, seed), *corner_frames(network, 2).values()):
        logits = model.run(frames)
        assert network.logit_format.minimum <= logits.min()
        assert logits.max() <= network.logit_format.maximum
    assert seen == formats.keys()


# Accumulators -----------------------------------------------------------------------------------


def worst_network(first_stage: FixedPoint) -> QuantizedNetwork:
    """Two modes, all weights the most negative code, the first stage in the given format."""
    network = build_network(fdht_shape((3, 5), (8, 2), (4,), 2, 2), widths=Widths(core=5))
    lowest = {
        name: QuantizedArray(core.format, np.full(core.codes.shape, core.format.minimum))
        for name, core in network.recurrence.cores.items()
    }
    path = network.recurrence.input_path
    path = ContractionPath(path.plan, path.cores, (first_stage,))
    return with_lstm(network, cores=lowest, input_path=path)


def observed(network: QuantizedNetwork, frames: np.ndarray) -> dict[str, np.ndarray]:
    seen: dict[str, np.ndarray] = {}
    ReferenceModel(network, lambda name, codes: seen.__setitem__(name, codes)).run(frames)
    return seen


def test_the_worst_input_reaches_the_first_accumulators_bound():
    exact = worst_network(FixedPoint(10, 0)).recurrence
    limits = exact.accumulator_format(exact.input_path, 0)
    network = worst_network(limits)  # nothing is lost, so the sums can be seen
    sums = observed(network, corner_frames(network, 1)["largest"])["input.C2"]
    # 5 products of 255 and -16.
    assert (sums == 5 * 255 * -16).all()
    assert limits.minimum <= sums.min() < limits.minimum // 2, "one bit less would overflow"


def test_saturated_stages_reach_the_next_accumulators_bound():
    network = worst_network(FixedPoint(6, 12))
    seen = observed(network, corner_frames(network, 1)["largest"])
    assert (seen["input.C2"] == -32).all(), "the first stage must saturate"
    limits = network.recurrence.accumulator_format(network.recurrence.input_path, 1)
    # 3 x 2 products (mode and bond) of -32 and -16: the positive bound itself.
    assert (seen["input.C1"] == 6 * 32 * 16).all()
    assert limits.maximum // 2 < seen["input.C1"].max() <= limits.maximum


def test_a_power_of_two_bound_is_reached_with_a_positive_sum():
    """-2^a * -2^b * 2^c = +2^(a+b+c) needs a bit more than its negative: the classic overflow."""
    network = build_network(fdht_shape((4, 4), (8, 1), (2,), 1, 1), widths=Widths(core=5))
    stages = network.recurrence.input_path
    path = ContractionPath(stages.plan, stages.cores, (FixedPoint(6, 12),))
    lowest = {
        name: QuantizedArray(core.format, np.full(core.codes.shape, core.format.minimum))
        for name, core in network.recurrence.cores.items()
    }
    network = with_lstm(network, cores=lowest, input_path=path)
    seen = observed(network, corner_frames(network, 1)["largest"])
    limits = network.recurrence.accumulator_format(path, 1)
    assert (seen["input.C1"] == 2 ** (5 + 4 + 2)).all()
    assert limits.maximum >= 2**11 > FixedPoint(limits.width - 1, 0).maximum


# Negative controls ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["C1", "C2", "C3", "C1_hidden"])
def test_one_weight_off_by_one_is_seen(name):
    fine = Widths(stage=16, preactivation=14, gate=12, cell=14, hidden=12)
    network = build_network(seed=2, widths=fine)
    core = network.recurrence.cores[name]
    codes = core.codes.copy()
    codes.flat[0] += 1 if codes.flat[0] < core.format.maximum else -1
    cores = {**network.recurrence.cores, name: QuantizedArray(core.format, codes)}
    frames = random_frames(network, 8)
    changed = ReferenceModel(with_lstm(network, cores=cores)).run(frames)
    assert (changed != ReferenceModel(network).run(frames)).any()


def test_truncation_is_seen(monkeypatch):
    network = build_network(seed=2)
    frames = random_frames(network, 8)
    right = ReferenceModel(network).run(frames)
    monkeypatch.setattr(
        fixedpoint,
        "shift_half_even",
        lambda codes, shift: codes >> shift if shift > 0 else codes << -shift,
    )
    wrong = ReferenceModel(network).run(frames)
    assert (wrong != right).mean() > 0.5


def test_rounding_half_up_is_seen(monkeypatch):
    """Differs from half to even at ties only, which 4 dropped bits meet often enough."""
    network = build_network(seed=2, widths=Widths(stage=6, core=3, hidden=5, gate=5))
    frames = random_frames(network, 40)
    right = ReferenceModel(network).run(frames)
    monkeypatch.setattr(
        fixedpoint,
        "shift_half_even",
        lambda codes, shift: (codes + (1 << shift >> 1)) >> shift if shift > 0 else codes << -shift,
    )
    assert (ReferenceModel(network).run(frames) != right).any()


@pytest.mark.parametrize(
    ("first", "second"), [(0, 1), (1, 2), (2, 3), (0, 3)], ids=lambda gate: f"gate {gate}"
)
def test_swapped_gates_are_seen(first, second):
    network = build_network(seed=2)
    lstm: QuantizedRecurrence = network.recurrence
    order = list(range(4))
    order[first], order[second] = second, first
    # The gate is the slowest part of the first output mode, hence of every row of W and b.
    stage = lstm.input_path.plan.stages[-1]
    axis = stage.core_indices.index("o1")
    cores = dict(lstm.cores)
    for name in ("C1", "C1_hidden"):
        codes = cores[name].codes
        blocks = np.split(codes, 4, axis)
        swapped = np.concatenate([blocks[gate] for gate in order], axis)
        cores[name] = QuantizedArray(cores[name].format, swapped)
    bias = lstm.cell.bias
    swapped = bias.codes.reshape(4, -1)[order].ravel()
    cell = dataclasses.replace(lstm.cell, bias=QuantizedArray(bias.format, swapped))
    frames = random_frames(network, 6)
    changed = ReferenceModel(with_lstm(network, cores=cores, cell=cell)).run(frames)
    assert (changed != ReferenceModel(network).run(frames)).any()


# Refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "dtype", "found"),
    [
        ((2, 59), np.uint8, r"uint8\[2, 59\]"),
        ((60,), np.uint8, r"uint8\[60\]"),
        ((1, 2, 30), np.uint8, r"uint8\[1, 2, 30\]"),
        ((2, 60), np.int8, r"int8\[2, 60\]"),
        ((2, 60), np.float32, r"float32\[2, 60\]"),
        ((2, 60), np.int64, r"int64\[2, 60\]"),
    ],
)
def test_frames_of_another_kind_are_refused(shape, dtype, found):
    model = ReferenceModel(build_network(SMALL_SHAPE))
    with pytest.raises(ShapeError, match=rf"frames = '{found}': expected uint8\[frames, 60\]"):
        model.run(np.zeros(shape, dtype))


def test_signed_networks_want_signed_frames():
    network = build_network(signed_input=True)
    with pytest.raises(ShapeError, match=r"expected int8\[frames, 60\]"):
        ReferenceModel(network).run(np.zeros((1, 60), np.uint8))
    assert ReferenceModel(network).run(np.full((1, 60), -128, np.int8)).shape == (1, 3)
