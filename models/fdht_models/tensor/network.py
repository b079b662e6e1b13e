"""TensorNetwork: a linear map of outputs x inputs as cores with named indices.

Every decomposition of the literature is a constructor of this type (`fdht_models.tensor.formats`);
nothing below it knows about formats.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.errors import ShapeError

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Core:
    """A factor of the network and the names of its indices, in the order of its axes."""

    name: str
    indices: tuple[str, ...]


@dataclass(frozen=True)
class TensorNetwork:
    """A matrix W of (product of outputs) x (product of inputs), never built.

    Args:
        format: the decomposition's name, for people.
        sizes: the size of every index.
        inputs: input modes; an input vector is the row-major ravel over them.
        outputs: output modes, likewise. Every index that is neither is a bond and is summed.
        cores: the factors.

    Raises:
        ShapeError: an index without a size, or an open index that no core carries.
    """

    format: str
    sizes: Mapping[str, int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    cores: tuple[Core, ...]

    def __post_init__(self) -> None:
        carried = {index for core in self.cores for index in core.indices}
        for index in sorted(carried | {*self.inputs, *self.outputs}):
            if self.sizes.get(index, 0) < 1:
                raise ShapeError(
                    "every index needs a size of at least 1",
                    field=f"sizes.{index}",
                    value=self.sizes.get(index),
                    remedy="check modes and ranks",
                )
        for index in (*self.inputs, *self.outputs):
            if index not in carried:
                raise ShapeError("no core carries this mode", field="cores", value=index)

    @property
    def input_size(self) -> int:
        """Length of the input vector."""
        return math.prod(self.sizes[index] for index in self.inputs)

    @property
    def output_size(self) -> int:
        """Length of the output vector."""
        return math.prod(self.sizes[index] for index in self.outputs)

    @property
    def parameter_count(self) -> int:
        """Numbers in all cores."""
        return sum(math.prod(self.shape(core.name)) for core in self.cores)

    @property
    def core_names(self) -> tuple[str, ...]:
        """Names of the cores in order."""
        return tuple(core.name for core in self.cores)

    def core(self, name: str) -> Core:
        """The core of that name."""
        for core in self.cores:
            if core.name == name:
                return core
        raise ShapeError("no such core", field="core", value=name, remedy=f"have {self.core_names}")

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a core's array."""
        return tuple(self.sizes[index] for index in self.core(name).indices)

    def dense(self, arrays: Arrays) -> npt.NDArray[np.float64]:
        """The matrix W, float64[output_size, input_size]; for tests and small networks only."""
        subscripts = einsum_subscripts(
            [core.indices for core in self.cores], (*self.outputs, *self.inputs)
        )
        operands = [np.asarray(arrays[core.name], np.float64) for core in self.cores]
        full = np.einsum(subscripts, *operands, optimize="greedy")
        return np.asarray(full).reshape(self.output_size, self.input_size)

    def check(self, arrays: Arrays) -> None:
        """Raises ShapeError unless `arrays` holds one array of the right shape for each core."""
        for name in self.core_names:
            found = None if name not in arrays else tuple(arrays[name].shape)
            if found != self.shape(name):
                raise ShapeError(
                    f"expected shape {self.shape(name)}", field=f"cores.{name}", value=found
                )

    def merged(self, groups: Mapping[str, Sequence[str]]) -> TensorNetwork:
        """The network in which each group of cores is contracted into one core.

        Args:
            groups: new name -> names of the cores it is made of; together they name each once.
        """
        cores = tuple(Core(name, self._group_indices(members)) for name, members in groups.items())
        kept = {index for core in cores for index in core.indices}
        sizes = {index: size for index, size in self.sizes.items() if index in kept}
        return replace(self, sizes=sizes, cores=cores)

    def resized(self, sizes: Mapping[str, int]) -> TensorNetwork:
        """The same network with other sizes for some indices, e.g. a part of an input mode."""
        return replace(self, sizes={**self.sizes, **sizes})

    def merge_subscripts(self, members: Sequence[str]) -> str:
        """The einsum that contracts a group of cores into its merged core."""
        return einsum_subscripts(
            [self.core(name).indices for name in members], self._group_indices(members)
        )

    def _group_indices(self, members: Sequence[str]) -> tuple[str, ...]:
        # An index stays if something outside the group carries it, or if it is a mode.
        outside = {
            index for core in self.cores if core.name not in members for index in core.indices
        } | {*self.inputs, *self.outputs}
        seen: dict[str, None] = {}
        for name in members:
            for index in self.core(name).indices:
                if index in outside:
                    seen.setdefault(index)
        return tuple(seen)


def merge_arrays(
    network: TensorNetwork,
    groups: Mapping[str, Sequence[str]],
    arrays: Mapping[str, Any],
    einsum: Callable[..., Any] = np.einsum,
) -> dict[str, Any]:
    """Contracts each group of cores; differentiable when `einsum` is TensorFlow's."""
    return {
        name: einsum(network.merge_subscripts(members), *(arrays[member] for member in members))
        for name, members in groups.items()
    }


def einsum_subscripts(operands: Iterable[Sequence[str]], result: Sequence[str]) -> str:
    """Einsum subscripts, such as "ab,bc->ac", for operands and a result with named indices.

    Raises:
        ShapeError: there are more than 52 different indices.
    """
    operands = [tuple(indices) for indices in operands]
    names = dict.fromkeys(index for indices in (*operands, tuple(result)) for index in indices)
    if len(names) > len(string.ascii_letters):
        raise ShapeError(
            f"einsum has {len(string.ascii_letters)} letters", field="indices", value=len(names)
        )
    letter = dict(zip(names, string.ascii_letters, strict=False))

    def spell(indices: Sequence[str]) -> str:
        return "".join(letter[index] for index in indices)

    return ",".join(spell(indices) for indices in operands) + "->" + spell(result)
