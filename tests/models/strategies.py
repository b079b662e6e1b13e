"""Hypothesis strategies and builders of small networks, and dense oracles, for all tests.

Nothing here imports TensorFlow. The oracles (`dense_ht`, `dense_tt`) are written from the papers
with `np.kron` only, so that they share no code with what they check.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from fdht_models.preprocessing import plain
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.cells import CELLS, Cell
from fdht_models.tensor.cells.kinds import KINDS
from fdht_models.tensor.fixedpoint import Codes, FixedPoint
from fdht_models.tensor.formats import HierarchicalTucker
from fdht_models.tensor.formats.trees import Tree
from fdht_models.tensor.plan import ContractionPlan, Stage
from fdht_models.tensor.quantized import (
    ContractionPath,
    Head,
    QuantizedNetwork,
    QuantizedRecurrence,
)
from fdht_models.tensor.recurrent import RecurrentShape, fdht_shape

Real = npt.NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)

#: 3 modes, 60 inputs (64 bytes a frame), 8 units.
SMALL_SHAPE = fdht_shape((3, 4, 5), (8, 2, 2), (2, 4), 2, 3)


@dataclass(frozen=True)
class Widths:
    """Bits of each kind of number of `build_network`."""

    core: int = 6
    bias: int = 8
    stage: int = 10
    preactivation: int = 8
    gate: int = 8
    cell: int = 12
    hidden: int = 8
    head: int = 6


def build_network(
    shape: RecurrentShape = SMALL_SHAPE,
    seed: int = 0,
    *,
    widths: Widths | None = None,
    classes: int = 3,
    signed_input: bool = False,
    random_tables: bool = False,
    jitter: int = 0,
    name: str = "small",
) -> QuantizedNetwork:
    """A network with random weights whose signals neither vanish nor sit at their limits.

    Args:
        shape: modes and ranks.
        seed: of weights, tables and jitter.
        widths: bits of each kind of number.
        classes: number of logits.
        signed_input: frames of int8 instead of uint8.
        random_tables: gate tables of noise instead of sigmoid and tanh: a truth table may hold
            anything, so nothing may rest on its shape.
        jitter: stage formats are off their best fraction by up to so many bits, so that some
            saturate and some lose most of their bits.
        name: the network's name.
    """
    return _Builder(shape, np.random.default_rng(seed), widths or Widths(), jitter).network(
        name, classes, signed_input, random_tables
    )


def random_frames(network: QuantizedNetwork, count: int, seed: int = 0) -> npt.NDArray[Any]:
    """Uniform codes, uint8 or int8 [count, inputs]."""
    form = network.input_format
    generator = np.random.default_rng(seed)
    codes = generator.integers(form.minimum, form.maximum + 1, (count, network.inputs))
    return codes.astype(np.int8 if form.signed else np.uint8)


def corner_frames(network: QuantizedNetwork, count: int) -> dict[str, npt.NDArray[Any]]:
    """All 0, all at either limit, and alternating between the limits, by name."""
    form = network.input_format
    dtype = np.int8 if form.signed else np.uint8
    shape = (count, network.inputs)
    limits = np.array([form.minimum, form.maximum])
    return {
        "zero": np.zeros(shape, dtype),
        "smallest": np.full(shape, form.minimum, dtype),
        "largest": np.full(shape, form.maximum, dtype),
        "alternating in space": limits[np.indices(shape)[1] % 2].astype(dtype),
        "alternating in time": limits[np.indices(shape)[0] % 2].astype(dtype),
    }


@dataclass
class _Builder:
    shape: RecurrentShape
    generator: np.random.Generator
    widths: Widths
    jitter: int

    def network(
        self, name: str, classes: int, signed_input: bool, random_tables: bool
    ) -> QuantizedNetwork:
        source = FixedPoint(8, 7, True) if signed_input else FixedPoint(8, 8, False)
        hidden = FixedPoint(self.widths.hidden, self.widths.hidden - 1)
        form = FixedPoint(self.widths.core, self.widths.core - 1)
        cores = {key: self._draw(form, sizes) for key, sizes in self.shape.stored_shapes.items()}
        shape = self.shape
        paths = [
            self._path(shape.input_plan, shape.input_cores, source, cores),
            self._path(shape.hidden_plan, shape.hidden_cores, hidden, cores),
        ]
        cell = self._cell(hidden, random_tables)
        recurrence = QuantizedRecurrence(source, cores, paths[0], paths[1], cell)
        weights = self._draw(
            FixedPoint(self.widths.head, self.widths.head - 1), (self.shape.units, classes)
        )
        bias = self._draw(FixedPoint(self.widths.bias, self.widths.bias - 2), (classes,))
        labels = tuple(f"class {number}" for number in range(classes))
        preprocessing = plain(self.shape.input_size, 20)
        return QuantizedNetwork(name, labels, preprocessing, recurrence, Head(weights, bias))

    def _path(
        self,
        plan: ContractionPlan,
        names: tuple[str, ...],
        source: FixedPoint,
        cores: dict[str, QuantizedArray],
    ) -> ContractionPath:
        formats, scale = self._stage_formats(plan.stages, source, cores, names)
        # The scale of what this path does not share brings what the gates see to about +-1.
        first = names[-1] if plan is self.shape.input_plan else self.shape.stored_names[-1]
        form = FixedPoint(self.widths.core, cores[first].format.fraction + scale)
        cores[first] = QuantizedArray(form, cores[first].codes)
        return ContractionPath(plan, names, formats)

    def _stage_formats(
        self,
        stages: Sequence[Stage],
        source: FixedPoint,
        cores: Mapping[str, QuantizedArray],
        names: Sequence[str],
    ) -> tuple[tuple[FixedPoint, ...], int]:
        # Uniform codes have a root mean square of half their range over sqrt(3).
        size = source.magnitude * source.scale / math.sqrt(3)
        formats = []
        for stage, name in zip(stages, names, strict=True):
            core = cores[name].format
            size *= core.magnitude * core.scale / math.sqrt(3) * math.sqrt(stage.terms)
            fraction = self.widths.stage - 3 - round(math.log2(size))
            fraction += int(self.generator.integers(-self.jitter, self.jitter + 1))
            formats.append(FixedPoint(self.widths.stage, fraction))
        return tuple(formats[:-1]), round(math.log2(size))

    def _cell(self, hidden: FixedPoint, random_tables: bool) -> Cell:
        bits = self.widths
        pre = FixedPoint(bits.preactivation, bits.preactivation - 3)
        state = FixedPoint(bits.cell, bits.cell - 3)
        gate, squash = FixedPoint(bits.gate, bits.gate, False), FixedPoint(bits.gate, bits.gate - 1)

        def table(function: Any, argument: FixedPoint, result: FixedPoint) -> QuantizedArray:
            if random_tables:
                return self._draw(result, (1 << argument.width,))
            values = function(argument.dequantize(argument.all_codes()))
            return QuantizedArray(result, result.quantize(values))

        rows = len(self.shape.gates) * self.shape.units
        bias = self._draw(FixedPoint(bits.bias, bits.bias - 1), (rows,))
        gates = table(lambda x: 1 / (1 + np.exp(-x)), pre, gate)
        candidate = table(np.tanh, pre, squash)
        kind, forms = KINDS[self.shape.cell], {"hidden": hidden, "cell": state}
        values: dict[str, Any] = {name: forms.get(name, pre) for name in kind.formats}
        for name, held in kind.tables.items():
            if held.argument != "preactivation":
                values[name] = table(np.tanh, values[held.argument], squash)
        drawn = {"gate": gates, "candidate": candidate}
        return CELLS[kind.name](bias=bias, **drawn, **values)

    def _draw(self, form: FixedPoint, sizes: Sequence[int]) -> QuantizedArray:
        codes = self.generator.integers(form.minimum, form.maximum + 1, tuple(sizes))
        return QuantizedArray(form, codes.astype(np.int64))


# Strategies ------------------------------------------------------------------------------------


def fixed_points(
    min_width: int = 1, max_width: int = 16, min_fraction: int = -6, max_fraction: int = 20
) -> st.SearchStrategy[FixedPoint]:
    """Formats, signed or not, also with fractions below 0 or above the width."""
    return st.builds(
        FixedPoint,
        st.integers(min_width, max_width),
        st.integers(min_fraction, max_fraction),
        st.booleans(),
    )


@st.composite
def trees(draw: st.DrawFn, modes: int) -> Tree:
    """Any binary tree with leaves 1..modes from left to right."""

    def build(first: int, last: int) -> Tree:
        if first == last:
            return first
        split = draw(st.integers(first, last - 1))
        return (build(first, split), build(split + 1, last))

    return build(1, modes)


def caterpillar(modes: int) -> Tree:
    """((..((1, 2), 3) .., modes): the tree that is a tensor train with a frame a mode."""
    tree: Tree = 1
    for mode in range(2, modes + 1):
        tree = (tree, mode)
    return tree


@st.composite
def fdht_shapes(
    draw: st.DrawFn,
    min_modes: int = 2,
    max_modes: int = 4,
    max_units: int = 12,
    max_rank: int = 3,
) -> RecurrentShape:
    """Any modes, box, ranks (also one a leaf) and tree; at most 4^max_modes or so inputs."""
    modes = draw(st.integers(min_modes, max_modes))
    box, units = [], 1
    for _ in range(modes - 1):
        side = draw(st.integers(1, min(3, max_units // units)))
        box.append(side)
        units *= side
    inputs = [draw(st.integers(1, 4)), *(side + draw(st.integers(0, 2)) for side in box)]
    outputs = [1] * modes
    for factor in _prime_factors(units):
        outputs[draw(st.integers(0, modes - 1))] *= factor
    outputs[0] *= 4
    rank = st.integers(1, max_rank)
    leaf_rank = draw(st.one_of(rank, st.tuples(*[rank] * modes)))
    return fdht_shape(
        tuple(inputs), tuple(outputs), tuple(box), leaf_rank, draw(rank), draw(trees(modes))
    )


def quantized_networks(**limits: int) -> st.SearchStrategy[QuantizedNetwork]:
    """Random small networks of all kinds; `limits` are those of `fdht_shapes`."""
    bits = st.integers(2, 9)
    widths = st.builds(
        Widths, bits, bits, st.integers(3, 12), st.integers(3, 9), bits, st.integers(3, 12), bits
    )
    return st.builds(
        build_network,
        fdht_shapes(**limits),
        SEEDS,
        widths=widths,
        classes=st.integers(1, 4),
        signed_input=st.booleans(),
        random_tables=st.booleans(),
        jitter=st.integers(0, 3),
    )


def _prime_factors(value: int) -> list[int]:
    factors, divisor = [], 2
    while value > 1:
        while value % divisor == 0:
            factors.append(divisor)
            value //= divisor
        divisor += 1
    return factors


# Oracles ---------------------------------------------------------------------------------------


def random_arrays(network: Any, seed: int) -> dict[str, Real]:
    """A normal float64 array for each core of a TensorNetwork."""
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=network.shape(name)) for name in network.core_names}


def tree_of(shape: RecurrentShape) -> Tree:
    """The dimension tree of a shape in hierarchical Tucker format."""
    assert isinstance(shape.format, HierarchicalTucker)
    return shape.format.tree_of(len(shape.input_modes))


def dense_ht(tree: Tree, arrays: Mapping[str, npt.NDArray[Any]]) -> Real:
    """W [outputs, inputs] of an HT network by the defining recursion over its tree.

    A leaf's basis is its frame; a node's basis matrix r is the sum over both children's bases of
    B[left, right, r] times their Kronecker product; the root has one matrix.
    """
    return np.ascontiguousarray(_basis(tree, arrays)[0].T)


def _basis(tree: Tree, arrays: Mapping[str, npt.NDArray[Any]]) -> list[Real]:
    if isinstance(tree, int):
        frame = np.asarray(arrays[f"U{tree}"], np.float64)
        return [frame[:, :, rank] for rank in range(frame.shape[2])]
    left, right = (_basis(child, arrays) for child in tree)
    transfer = np.asarray(arrays[f"B{_first(tree)}_{_last(tree)}"], np.float64)
    transfer = transfer.reshape(len(left), len(right), -1)
    basis = []
    for rank in range(transfer.shape[2]):
        matrix = np.zeros(np.multiply(left[0].shape, right[0].shape))
        for a, b in np.ndindex(len(left), len(right)):
            matrix += transfer[a, b, rank] * np.kron(left[a], right[b])
        basis.append(matrix)
    return basis


def _first(tree: Tree) -> int:
    return tree if isinstance(tree, int) else _first(tree[0])


def _last(tree: Tree) -> int:
    return tree if isinstance(tree, int) else _last(tree[1])


def dense_tt(cores: Sequence[npt.NDArray[Any]]) -> Real:
    """W [outputs, inputs] of a tensor train of cores [n, m, rank before, rank after]."""
    running = [np.ones((1, 1))]
    for core in cores:
        following = []
        for b in range(core.shape[3]):
            matrix = np.zeros(np.multiply(running[0].shape, core.shape[:2]))
            for a in range(core.shape[2]):
                matrix += np.kron(running[a], core[:, :, a, b])
            following.append(matrix)
        running = following
    return np.ascontiguousarray(running[0].T)


def rounding_bound(network: Any, arrays: Mapping[str, npt.NDArray[Any]], dense: Any) -> Real:
    """Largest difference of two float64 evaluations of W, in whatever order, element by element.

    Each element is a sum over all assignments of the bonds of a product of one number a core.
    On its way into the result a product passes at most (cores - 1) multiplications and fewer
    additions than there are assignments, each with a factor 1 + d, |d| <= u = 2^-53. So one
    evaluation errs by at most n u / (1 - n u) times the sum of absolute products (Higham,
    "Accuracy and Stability", lemma 3.1) with n = cores + assignments, and two by twice that.
    """
    modes = {*network.inputs, *network.outputs}
    bonds = math.prod(size for index, size in network.sizes.items() if index not in modes)
    count = (len(network.cores) + bonds) * 2.0**-53
    return np.asarray(
        2 * count / (1 - count) * dense({name: np.abs(array) for name, array in arrays.items()})
    )


def saturate(value: int, form: FixedPoint) -> int:
    """Clips a Python integer to a format's codes."""
    low = -(2 ** (form.width - 1)) if form.signed else 0
    high = 2 ** (form.width - 1) - 1 if form.signed else 2**form.width - 1
    return max(low, min(high, value))


def some_codes(form: FixedPoint, shape: Sequence[int], seed: int) -> Codes:
    """Uniform codes of a format."""
    generator = np.random.default_rng(seed)
    return generator.integers(form.minimum, form.maximum + 1, tuple(shape)).astype(np.int64)


def fdht_arguments(shape: RecurrentShape) -> dict[str, Any]:
    """Arguments of `FDHTLSTM` for a shape that `fdht_shape` made."""
    assert isinstance(shape.format, HierarchicalTucker)
    return {
        "input_modes": shape.input_modes,
        "output_modes": shape.output_modes,
        "hidden_box": shape.hidden_box,
        "leaf_rank": shape.format.leaf_rank,
        "inner_rank": shape.format.inner_rank,
        "tree": shape.format.tree,
    }


def layer_formats(
    shape: RecurrentShape = SMALL_SHAPE, **changes: FixedPoint
) -> dict[str, FixedPoint]:
    """Formats for every quantizer of a layer that suit freshly initialised weights.

    Args:
        shape: the layer.
        **changes: other formats by name.
    """
    formats = {
        "input": FixedPoint(8, 8, signed=False),
        **{name: FixedPoint(8, 6) for name in shape.stored_names},
        shape.stored_names[-1]: FixedPoint(8, 5),
        "bias": FixedPoint(8, 6),
        **{
            f"{path}.{stage.core}": FixedPoint(12, 8)
            for path, plan in (("input", shape.input_plan), ("hidden", shape.hidden_plan))
            for stage in plan.stages[:-1]
        },
        "preactivation": FixedPoint(10, 7),
        "gate": FixedPoint(8, 8, signed=False),
        "candidate": FixedPoint(8, 7),
        "hidden": FixedPoint(8, 7),
    }
    own = {"recurrent": FixedPoint(10, 7), "output": FixedPoint(8, 7), "cell": FixedPoint(12, 9)}
    kind = KINDS[shape.cell]
    names = (*kind.tables, *kind.formats)
    return formats | {name: own[name] for name in own if name in names} | changes
