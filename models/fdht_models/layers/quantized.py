"""The quantised twins: every number rounded; inference is exact, integer for integer.

Training rounds in float32 through QKeras' quantizers; inference computes in float64, where every
sum of quantised products is exact, so that its integers are those of the hardware.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from fdht_models.kerasapi import keras, tf
from fdht_models.layers.contract import merge_cores
from fdht_models.layers.kinds import FLOAT_LAYERS, LAYER_OF
from fdht_models.layers.quantizers import (
    format_of,
    quantizers_from,
    required_names,
    round_to,
    truth_table,
)
from fdht_models.layers.recurrent import ForwardPass, TensorRNN
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import FixedPoint


class QuantizedRNN(TensorRNN):
    """A tensorized recurrent layer with every number quantised; mixed into the cells.

    Args:
        *args: as for the float layer.
        quantizers: QKeras quantizers (`quantized_bits` with alpha=1), FixedPoint formats or their
            configs by the names of `required_names`: "input"; the stored cores; "bias";
            "input.<core>" and "hidden.<core>" for what the stage of that core emits on either
            path; and those of the kind's formats and truth tables: "preactivation"; "gate"
            (unsigned) and "candidate"; "hidden"; for an LSTM "cell", and "output" for its squashed
            cell state; for others "recurrent", what a gate behind W_h h multiplies.
        **kwargs: as for the float layer.

    Raises:
        NumericError: a quantizer is missing, unknown or unfit.
    """

    def __init__(self, *args: Any, quantizers: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.quantizers = quantizers_from(quantizers, required_names(self.shape))
        self.tables: dict[str, QuantizedArray] = {
            name: truth_table(
                self.function(name),
                self.quantizer_format(table.argument),
                self.quantizer_format(name),
            )
            for name, table in self.kind.tables.items()
        }

    def quantizer_format(self, name: str) -> FixedPoint:
        """Fixed-point format of a quantizer."""
        return format_of(self.quantizers[name], name)

    def stored_cores(self, training: bool) -> dict[str, tf.Tensor]:
        """Stored cores, quantised; in float64 for inference."""
        merged = merge_cores(self.shape, self.tensors)
        return {name: self._stored(name, core, training) for name, core in merged.items()}

    def stored_bias(self, training: bool) -> tf.Tensor:
        """The bias, quantised; in float64 for inference."""
        return self._stored("bias", self.bias, training)

    def emit(self, name: str, values: tf.Tensor, forward: ForwardPass) -> tf.Tensor:
        """A value, rounded once; an observer sees what inference rounds it to."""
        if forward.training:
            return self.quantizers[name](values)
        rounded = round_to(values, self.quantizer_format(name))
        if self.observer is not None:
            self.observer(name, rounded)
        return rounded

    def apply(self, name: str, values: tf.Tensor, forward: ForwardPass) -> tf.Tensor:
        """A gate function: rounded in training, looked up for inference."""
        if forward.training:
            return self.quantizers[name](super().apply(name, values, forward))
        argument = self.quantizer_format(self.kind.tables[name].argument)
        codes = tf.cast(values / argument.scale, tf.int32)
        raw = tf.bitwise.bitwise_and(codes, (1 << argument.width) - 1)
        return tf.gather(forward.tables[name], raw)

    def project(self, frames: tf.Tensor, forward: ForwardPass) -> tf.Tensor:
        """W_x x of frames, every stage rounded once."""
        if not forward.training:
            frames = tf.cast(frames, tf.float64)
        return super().project(self.emit("input", frames, forward), forward)

    def begin(self, training: bool) -> ForwardPass:
        """The stored cores, the bias, and for inference the truth tables."""
        begun = super().begin(training)
        if training:
            return begun
        tables = {
            name: tf.constant(table.format.dequantize(table.codes), tf.float64)
            for name, table in self.tables.items()
        }
        return replace(begun, tables=tables)

    def get_config(self) -> dict[str, Any]:
        """All arguments of the constructor."""
        quantizers = {
            name: {"class_name": "quantized_bits", "config": quantizer.get_config()}
            for name, quantizer in self.quantizers.items()
        }
        return {**super().get_config(), "quantizers": quantizers}

    def _stored(self, name: str, values: tf.Tensor, training: bool) -> tf.Tensor:
        if training:
            return self.quantizers[name](values)
        return round_to(tf.cast(values, tf.float64), self.quantizer_format(name))


def _twin(layer: type[TensorRNN]) -> type[QuantizedRNN]:
    """The quantised twin of a float layer, under its name with a Q before it."""
    text = f"{layer.__name__}, quantised; see `QuantizedRNN`."
    own = {"__module__": __name__, "__doc__": text}
    made = type(f"Q{layer.__name__}", (QuantizedRNN, layer), own)
    return cast("type[QuantizedRNN]", keras.utils.register_keras_serializable("fdht")(made))


_TWINS = {layer: _twin(layer) for layer in FLOAT_LAYERS}
#: The layers that hardware computes. A class made from one of them may compute anything.
OWN_LAYERS = tuple(_TWINS.values())
#: The quantised layer of each kind in any tensor format.
QUANTIZED_OF = {cell: _TWINS[layer] for cell, layer in LAYER_OF.items()}
_BY_NAME = {layer.__name__: layer for layer in OWN_LAYERS}


def __getattr__(name: str) -> Any:
    """`OWN_LAYERS` by the names of the classes, such as `QTensorLSTM`."""
    if name not in _BY_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _BY_NAME[name]
