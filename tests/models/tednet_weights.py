"""tednet's layers, and their weights as arrays of our networks.

tednet (Pan, Wang and Xu 2022, "TedNet") is a PyTorch implementation of TT, TR, BT, CP and Tucker-2
layers by authors of the TR and BT papers. Its LSTMs decompose the input-to-hidden matrix; their
gates are i, f, g, o along the first output mode, ours f, u (= i), candidate (= g), o.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tednet.tnn import bt_tucker, cp, tensor_ring, tensor_train, tucker2

from fdht_models.tensor.formats import (
    BlockTerm,
    CanonicalPolyadic,
    Format,
    TensorRing,
    TensorTrain,
    Tucker,
)
from fdht_models.tensor.network import TensorNetwork
from fdht_models.tensor.recurrent import DENSE_HIDDEN, RecurrentShape

Real = npt.NDArray[np.float64]
Modes = tuple[int, ...]
#: Positions in tednet's order of the gates that ours are.
_GATES = (1, 0, 2, 3)


@dataclass(frozen=True)
class Case:
    """A matrix in a format, here and in tednet; the gate factor 4 is in `outputs[0]`.

    Args:
        format: ours.
        inputs: input modes.
        outputs: output modes.
        linear: makes tednet's layer from lists of input and output modes.
        lstm: makes tednet's LSTM from lists of input modes and of modes of the hidden state.
    """

    format: Format
    inputs: Modes
    outputs: Modes
    linear: Callable[[list[int], list[int]], Any]
    lstm: Callable[[list[int], list[int]], Any]

    @property
    def network(self) -> TensorNetwork:
        """Our network."""
        return self.format.network(self.inputs, self.outputs)

    @property
    def shape(self) -> RecurrentShape:
        """Our LSTM."""
        return RecurrentShape(self.format, self.inputs, self.outputs)

    def make_linear(self, seed: int, positive: bool = False) -> Any:
        """tednet's layer in float64 with normal weights, or with their absolute values."""
        layer = self.linear([*self.inputs], [*self.outputs]).double()
        _randomise(layer, seed, 1.0)
        for weight in layer.parameters() if positive else ():
            weight.data.abs_()
        return layer

    def make_lstm(self, seed: int) -> Any:
        """tednet's LSTM in float64 without dropout; its weights are numbers of float32."""
        hidden = [self.outputs[0] // 4, *self.outputs[1:]]
        lstm = self.lstm([*self.inputs], hidden).eval()
        _randomise(lstm, seed, 0.5)
        return lstm.double()

    def cores(self, layer: Any) -> dict[str, Real]:
        """Weights of a linear layer of tednet as arrays of `network`."""
        return _LOADERS[type(layer).__name__](layer, self.network)

    def weights(self, lstm: Any) -> tuple[dict[str, Real], Real]:
        """Weights of an LSTM of tednet: arrays of our layer by name, and the bias."""
        shape, cell = self.shape, lstm.cell
        arrays = {}
        for name, array in self.cores(cell.weight_ih).items():
            indices = shape.network.core(name).indices
            first = shape.network.outputs[0]
            arrays[name] = reorder_gates(array, indices.index(first)) if first in indices else array
        rows = reorder_gates(to_numpy(cell.weight_hh), 0)
        rows = rows.reshape(*self.outputs, shape.units)
        outputs = shape.hidden_network.core(DENSE_HIDDEN).indices[1:]
        axes = [shape.network.outputs.index(index) for index in outputs]
        arrays[DENSE_HIDDEN] = rows.transpose(-1, *axes)
        bias = to_numpy(cell.bias_hh) + to_numpy(cell.weight_ih.bias)
        return arrays, reorder_gates(bias, 0)


def reorder_gates(array: Real, axis: int) -> Real:
    """tednet's order of the gates -> ours, along the axis that carries them."""
    blocks = np.split(array, 4, axis)
    return np.concatenate([blocks[gate] for gate in _GATES], axis)


def to_numpy(tensor: Any) -> Real:
    """A float64 copy of a tensor."""
    return np.array(tensor.detach().numpy(), np.float64)


def _randomise(module: Any, seed: int, deviation: float) -> None:
    torch.manual_seed(seed)
    for weight in module.parameters():
        torch.nn.init.normal_(weight.data, 0.0, deviation)
    if hasattr(module, "cell"):
        module.cell.reset_hh()  # orthogonal, which neither forgets nor blows up
        # Both biases together make ours; one of them is zero so that the sum is exact in float32.
        torch.nn.init.zeros_(module.cell.weight_ih.bias)


def _train(layer: Any, network: TensorNetwork) -> dict[str, Real]:
    return {
        name: to_numpy(getattr(layer, f"node{place}"))
        for place, name in enumerate(network.core_names)
    }


def _block_term(layer: Any, network: TensorNetwork) -> dict[str, Real]:
    def stack(name: str) -> Real:
        return np.stack(
            [to_numpy(getattr(layer, f"{name}_block{block}")) for block in range(layer.block_num)]
        )

    factors = {f"U{k + 1}": stack(f"factor{k}") for k in range(len(network.inputs))}
    # When the core is multiplied, the running tensor has its ranks from the last to the first.
    ranks = [network.sizes[index] for index in network.core("G").indices]
    core = stack("core").reshape(ranks[0], *reversed(ranks[1:]))
    return {**factors, "G": core.transpose(0, *range(len(ranks) - 1, 0, -1))}


def _polyadic(layer: Any, network: TensorNetwork) -> dict[str, Real]:
    terms = range(network.sizes["r"])
    return {
        name: np.stack([to_numpy(getattr(layer, f"node{place}_block{r}")) for r in terms], -1)
        for place, name in enumerate(network.core_names)
    }


def _tucker2(layer: Any, network: TensorNetwork) -> dict[str, Real]:
    first, last = to_numpy(layer.node0), to_numpy(layer.node1)
    if len(network.inputs) == 1:
        return {"A1": first, "G": last}
    return {"A1": first, "B1": last.T, "G": to_numpy(layer.node_core).transpose(2, 0, 1, 3)}


_LOADERS: dict[str, Callable[[Any, TensorNetwork], dict[str, Real]]] = {
    "TTLinear": _train,
    "TRLinear": _train,
    "BTTLinear": _block_term,
    "CPLinear": _polyadic,
    "TK2Linear": _tucker2,
}


def tt(inputs: Modes, outputs: Modes, *ranks: int) -> Case:
    """Tensor train."""
    return Case(
        TensorTrain(ranks),
        inputs,
        outputs,
        lambda i, o: tensor_train.TTLinear(i, o, [*ranks], bias=False),
        lambda i, h: tensor_train.TTLSTM(i, h, [*ranks]),
    )


def tr(inputs: Modes, outputs: Modes, *ranks: int) -> Case:
    """Tensor ring."""
    return Case(
        TensorRing(ranks),
        inputs,
        outputs,
        lambda i, o: tensor_ring.TRLinear(i, o, [*ranks], bias=False),
        lambda i, h: tensor_ring.TRLSTM(i, h, [*ranks]),
    )


def bt(inputs: Modes, outputs: Modes, blocks: int, rank: int) -> Case:
    """Block-term Tucker."""
    ranks = [rank] * len(inputs)
    return Case(
        BlockTerm(blocks, rank),
        inputs,
        outputs,
        lambda i, o: bt_tucker.BTTLinear(i, o, ranks, blocks, bias=False),
        lambda i, h: bt_tucker.BTTLSTM(i, h, ranks, blocks),
    )


def polyadic(inputs: Modes, outputs: Modes, rank: int) -> Case:
    """Canonical polyadic."""
    return Case(
        CanonicalPolyadic(rank),
        inputs,
        outputs,
        lambda i, o: cp.CPLinear(i, o, rank, bias=False),
        lambda i, h: cp.CPLSTM(i, h, rank),
    )


def tk2(inputs: Modes, output: int, *ranks: int) -> Case:
    """Tucker-2: factors for the first input mode and for the output, which is one mode."""
    form = Tucker((ranks[0], 0, 0), (ranks[1],)) if len(inputs) == 3 else Tucker(ranks, (0,))
    return Case(
        form,
        inputs,
        (output,),
        lambda i, o: tucker2.TK2Linear(i, o[0], [*ranks], bias=False),
        lambda i, h: tucker2.TK2LSTM(i, h[0], [*ranks]),
    )
