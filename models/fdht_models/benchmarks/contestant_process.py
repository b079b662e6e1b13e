"""Contestants, and the process of one, run as a module of its own; see `ContestantProcess`.

The first line of its standard input says who it is; every other line asks for some steps. It
answers each with a line of JSON, and ends when its input does.

A step is forward, backward, and an update by Adam. All contestants see the same clips and labels,
classify the last hidden state by a linear layer and softmax cross-entropy, and compute in float32
on processors. tednet's dropout is off, since the others have none.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.benchmarks.machine import cores
from fdht_models.errors import ConfigError, FdhtError
from fdht_models.records import read_record
from fdht_models.versions import package_versions, required_module
from fdht_models.workers import answer_pipe, error_message, orders, run_worker, say

_RATE, _SEED = 1e-3, 0
#: Whose layer a contestant is: ours, Keras' own LSTM, or tednet's in PyTorch.
LIBRARIES = ("fdht", "keras", "tednet")
_GATES = 4


def main() -> None:
    """Builds the contestant, then runs its rounds until the input ends."""
    with answer_pipe() as pipe:
        given = orders()
        first = next(given)
        try:
            contestant = read_record(Contestant, first["contestant"])
            step = build_step(contestant, read_record(TrainingWorkload, first["workload"]))
            loss = step.run()  # traces the graph and makes the optimiser's slots
            facts = {name: value for name, value in vars(step).items() if name != "run"}
            say(pipe, {**facts, "first_loss": loss})
            for order in given:
                say(pipe, {"seconds": timed(step, order["steps"])})
        except FdhtError as error:
            say(pipe, error_message(error))


def timed(step: TrainingStep, steps: int) -> list[float]:
    """Seconds of each of some steps, after one that brings the caches back."""
    step.run()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step.run()
        seconds.append(time.perf_counter() - start)
    return seconds


@dataclass(frozen=True)
class TrainingStep:
    """A model that is ready to be trained.

    Args:
        run: does one step and returns the loss.
        parameters: trainable numbers, with those of the linear layer.
        threads: threads that its library uses for one operation.
        versions: of the packages that compute.
    """

    run: Callable[[], float]
    parameters: int
    threads: int
    versions: dict[str, str]


def build_step(contestant: Contestant, workload: TrainingWorkload) -> TrainingStep:
    """Makes the model and its data.

    Raises:
        ToolError: the contestant's library is not installed.
        ShapeError: its modes and ranks do not fit together.
    """
    if contestant.library == "tednet":
        return _pytorch_step(contestant, workload)
    return _tensorflow_step(contestant, workload)


def _data(
    contestant: Contestant, workload: TrainingWorkload
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Clips float32[batch, frames, inputs] from 0 to 1, and labels int64[batch]."""
    generator = np.random.default_rng(_SEED)
    clips = generator.random((workload.batch, workload.frames, contestant.inputs), np.float32)
    return clips, generator.integers(0, workload.classes, workload.batch)


def _tensorflow_step(contestant: Contestant, workload: TrainingWorkload) -> TrainingStep:
    from fdht_models.kerasapi import keras, tf

    keras.utils.set_random_seed(_SEED)
    model = keras.Sequential(
        [
            keras.layers.Input((workload.frames, contestant.inputs)),
            _keras_layer(contestant),
            keras.layers.Dense(workload.classes),
        ]
    )
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Of Keras' two Adams the one whose update is a single operation: with 59 million weights it
    # takes less than half as long, and the dense layer shall do its best.
    optimizer = keras.optimizers.legacy.Adam(_RATE)
    clips, labels = (tf.constant(array) for array in _data(contestant, workload))

    @tf.function
    def step(clips: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(clips, training=True))
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    return TrainingStep(
        lambda: float(step(clips, labels)),
        model.count_params(),
        tf.config.threading.get_intra_op_parallelism_threads() or cores(),
        package_versions("tensorflow", "tf_keras"),
    )


def _keras_layer(contestant: Contestant) -> Any:
    from fdht_models.kerasapi import keras
    from fdht_models.layers.lstm import TensorLSTM

    if contestant.library == "keras":
        return keras.layers.LSTM(contestant.units)
    return TensorLSTM(
        contestant.format, contestant.input_modes, contestant.output_modes, contestant.hidden_box
    )


def _pytorch_step(contestant: Contestant, workload: TrainingWorkload) -> TrainingStep:
    torch, trains = (
        required_module(name, "run: make oracles") for name in ("torch", "tednet.tnn.tensor_train")
    )
    torch.manual_seed(_SEED)
    lstm = trains.TTLSTM(
        [*contestant.input_modes],
        [*contestant.hidden_modes],
        [*contestant.format["ranks"]],
        drop_ih=0.0,
        drop_hh=0.0,
    )
    head = torch.nn.Linear(contestant.units, workload.classes)
    weights = [*lstm.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(weights, _RATE)
    clips, labels = (torch.from_numpy(array) for array in _data(contestant, workload))
    clips = clips.transpose(0, 1).contiguous()  # tednet wants [time, batch, inputs]
    zeros = torch.zeros(workload.batch, contestant.units)

    def step() -> float:
        optimizer.zero_grad()
        hidden, _ = lstm(clips, (zeros, zeros))
        loss = torch.nn.functional.cross_entropy(head(hidden[-1]), labels)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return TrainingStep(
        step,
        sum(weight.numel() for weight in weights),
        torch.get_num_threads(),
        package_versions("torch", "tednet"),
    )


@dataclass(frozen=True)
class Contestant:
    """An LSTM.

    Args:
        name: what it is called in the result.
        library: one of `LIBRARIES`.
        input_modes: n_1 .. n_d of one frame.
        output_modes: m_1 .. m_e, the gate factor 4 in m_1; their product is 4 H.
        format: name and ranks, as `format_from` reads them.
        hidden_box: where h lies in an integrated matrix (`RecurrentShape`); None: W_h is dense.
    """

    name: str
    library: str
    input_modes: tuple[int, ...]
    output_modes: tuple[int, ...]
    format: Mapping[str, Any] = field(default_factory=lambda: {"name": "dense"})
    hidden_box: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        known = {"keras": ("dense",), "tednet": ("tt",)}.get(self.library)
        if self.library not in LIBRARIES or (known and self.format.get("name") not in known):
            raise ConfigError(
                f"{self.library!r} has no layer of this format here",
                field=f"contestants.{self.name}",
                value=self.format.get("name"),
            )

    @property
    def inputs(self) -> int:
        """Values in a frame."""
        return math.prod(self.input_modes)

    @property
    def units(self) -> int:
        """Hidden units H."""
        return math.prod(self.output_modes) // _GATES

    @property
    def hidden_modes(self) -> tuple[int, ...]:
        """Output modes of one gate, whose product is H."""
        return (self.output_modes[0] // _GATES, *self.output_modes[1:])


@dataclass(frozen=True)
class TrainingWorkload:
    """What one training step is made of.

    Args:
        batch: clips a step.
        frames: frames a clip.
        classes: classes of the linear layer behind the last hidden state.
    """

    batch: int = 16
    frames: int = 6
    classes: int = 11


#: A frame of 160 x 120 x 3 = 57,600 values and 256 hidden units, as all the papers on UCF11 have;
#: HT with the modes of its own paper (Yin et al. 2020), the others with those of the TT paper.
_INPUTS, _OUTPUTS = (8, 20, 20, 18), (16, 4, 4, 4)
CONTESTANTS = (
    Contestant(
        "fdht",
        "fdht",
        _INPUTS,
        _OUTPUTS,
        {"name": "ht", "leaf_rank": 4, "inner_rank": 4},
        (8, 4, 8),
    ),
    Contestant(
        "ht",
        "fdht",
        (8, 10, 10, 9, 8),
        (16, 4, 2, 4, 2),
        {"name": "ht", "leaf_rank": 4, "inner_rank": 5},
    ),
    Contestant("tt", "fdht", _INPUTS, _OUTPUTS, {"name": "tt", "ranks": [4, 4, 4]}),
    Contestant("tednet-tt", "tednet", _INPUTS, _OUTPUTS, {"name": "tt", "ranks": [4, 4, 4]}),
    Contestant("keras-dense", "keras", _INPUTS, _OUTPUTS),
)


if __name__ == "__main__":
    run_worker(main)
