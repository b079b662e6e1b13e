"""Synchronous data-parallel training: several devices of a machine, or several machines.

    devices = devices_for("local")     # all GPUs of this machine (without one: its CPUs)
    devices = devices_for("workers")   # the cluster that TF_CONFIG describes

Every replica computes a part of the same global batch; gradients are summed and scaled by the
global batch, so that the course is that of one device but for rounding. One worker, the chief,
reads and writes files and decides; the others follow what it says.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.documents import parse_json
from fdht_models.errors import ConfigError, ToolError, first_line
from fdht_models.kerasapi import tf
from fdht_models.training.options import LOCAL, check_distribution, read_cluster

#: Seconds after which a worker that does not answer is given up. Others wait that long for the
#: chief's evaluation, which takes minutes on large sets.
ANSWER_SECONDS = 1800.0
#: Seconds in which all workers must have been started.
CONNECT_SECONDS = 300.0
#: Bytes; see `Devices.share`.
_BLOCK = 4096

Array = npt.NDArray[Any]
#: What one replica gets of a batch: frames, labels, and what else belongs to clips.
Part = tuple[Array, ...]


@dataclass(frozen=True)
class Devices:
    """On what a model is trained.

    Attributes:
        strategy: a `tf.distribute.Strategy`, or None: one device, and none of its machinery.
        worker: this process among the workers; 0 is the chief.
        workers: processes that train together.
    """

    strategy: Any = None
    worker: int = 0
    workers: int = 1

    @property
    def is_chief(self) -> bool:
        """True for the one process that writes."""
        return self.worker == 0

    @property
    def replicas(self) -> int:
        """Copies of the model, over all workers."""
        return 1 if self.strategy is None else int(self.strategy.num_replicas_in_sync)

    def scope(self) -> AbstractContextManager[Any]:
        """Models and optimisers are built inside."""
        return nullcontext() if self.strategy is None else self.strategy.scope()

    def check_batch(self, batch: int) -> None:
        """Raises a ConfigError if a batch has fewer clips than there are replicas."""
        if batch < self.replicas:
            raise ConfigError(
                f"must be at least {self.replicas}, one clip for each replica",
                field="training.batch",
                value=batch,
                remedy="choose a larger batch (and as many training clips), or fewer devices",
            )

    def local_parts(self, chosen: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        """Which clips of a global batch each replica of this worker gets; sizes differ by one."""
        local = self.replicas // self.workers
        first = self.worker * local
        return np.array_split(chosen, self.replicas)[first : first + local]

    def place(self, parts: Sequence[Part]) -> tuple[Any, ...]:
        """What parts hold, of this worker's replicas, as `summed` takes them."""
        if self.strategy is None:
            (part,) = parts
            return tuple(tf.constant(array) for array in part)
        first = self.worker * len(parts)

        def values(place: int) -> Any:
            return self.strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(parts[context.replica_id_in_sync_group - first][place])
            )

        return tuple(values(place) for place in range(len(parts[0])))

    def summed(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Runs a function on every replica, inside a `tf.function`; its tensors are summed."""
        if self.strategy is None:
            return function(*arguments)
        results = self.strategy.run(function, args=arguments)
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, results, axis=None)

    def share(self, value: Any) -> Any:
        """The chief's `value` (JSON) on all workers; those of others do not matter."""
        if self.workers == 1:
            return value
        data = np.frombuffer(json.dumps(value).encode(), np.uint8)
        length = int(self._from_chief(np.array([float(len(data))]))[0])
        # In whole blocks: TensorFlow compiles the sum for every length anew.
        padded = np.zeros(-(-length // _BLOCK) * _BLOCK)
        if self.is_chief:
            padded[:length] = data
        text = self._from_chief(padded)[:length].astype(np.uint8).tobytes().decode()
        return parse_json(text, "the chief's message", error=ToolError, remedy="start all again")

    def synchronise(self, variables: Sequence[Any]) -> None:
        """Gives all workers the chief's values of variables."""
        if self.workers == 1:
            return
        arrays = [variable.numpy() for variable in variables]
        # In one piece; float64 holds float32 and numbers of steps exactly.
        flat = np.concatenate([array.astype(np.float64).ravel() for array in arrays])
        flat = self._from_chief(flat)
        ends = np.cumsum([array.size for array in arrays])[:-1]
        for variable, array, piece in zip(variables, arrays, np.split(flat, ends), strict=True):
            variable.assign(piece.reshape(array.shape).astype(array.dtype))

    def _from_chief(self, array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        # A sum to which all others contribute zeros.
        own = array if self.is_chief else np.zeros_like(array)
        with answers_expected():
            results = _collector(self.strategy)(tf.constant(own))
            return np.asarray(self.strategy.experimental_local_results(results)[0])


ALONE = Devices()


def devices_for(distribute: str | None) -> Devices:
    """The devices to train on.

    With "workers" it must be called before TensorFlow computes anything. A process has one set of
    devices of each kind; calling again returns it.

    Args:
        distribute: None: TensorFlow's default device; "local": all GPUs of this machine, or all
            its (logical) CPUs if it has none; "workers": the cluster of TF_CONFIG.

    Raises:
        ConfigError: another text, or TF_CONFIG is missing or cannot be used.
        ToolError: the workers cannot be connected.
    """
    if distribute is None:
        return ALONE
    check_distribution(distribute)
    return _local() if distribute == LOCAL else _cluster(os.environ.get("TF_CONFIG", ""))


@contextmanager
def answers_expected() -> Iterator[None]:
    """Turns what TensorFlow says of a lost worker into one line with a remedy."""
    try:
        yield
    except (
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.UnavailableError,
    ) as error:
        # The first line is "Graph execution error:", the code behind it says what happened.
        reason = type(error).__name__.removesuffix("Error")
        raise ToolError(
            f"does not answer (TensorFlow: {reason})",
            field="another worker",
            remedy="start all workers again: the training goes on after its last epoch",
        ) from error


def _meet(addresses: Sequence[str], worker: int) -> None:
    """Waits until all workers have started; TensorFlow itself would wait for them without end.

    Each worker listens on its own port, until it has reached all others; from then on TensorFlow
    listens there.
    """
    end = time.monotonic() + CONNECT_SECONDS
    places = [_place(address) for address in addresses]
    try:
        listener = socket.create_server(("", places[worker][1]))
    except OSError as error:
        raise ToolError(
            f"cannot listen there ({error.strerror})",
            field="TF_CONFIG: this worker's address",
            value=addresses[worker],
            remedy="choose a free port",
        ) from error
    with listener:
        for number, place in enumerate(places):
            while number != worker and not _answers(place):
                if time.monotonic() > end:
                    raise ToolError(
                        f"did not start within {CONNECT_SECONDS:g} s",
                        field="TF_CONFIG: a worker",
                        value=addresses[number],
                        remedy="start all workers, and check address and firewall",
                    )
                time.sleep(0.2)


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(
            "is no address", field="TF_CONFIG", value=address, remedy="write host:port"
        )
    return host.strip("[]"), int(port)


def _answers(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, timeout=2.0).close()
    except OSError:
        return False
    return True


@functools.cache
def _collector(strategy: Any) -> Any:
    """A function that gives every replica the first one's vector."""

    def contribute(values: Any) -> Any:
        context = tf.distribute.get_replica_context()
        first = context.replica_id_in_sync_group == 0
        own = tf.where(first, values, tf.zeros_like(values))
        return context.all_reduce(tf.distribute.ReduceOp.SUM, own)

    return tf.function(lambda values: strategy.run(contribute, args=(values,)), autograph=False)


@functools.cache
def _local() -> Devices:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    # Plain summing on the first device where there is no GPU; NCCL is for GPUs.
    operations = None
    if devices[0].device_type == "CPU":
        operations = tf.distribute.ReductionToOneDevice()
    names = [device.name for device in devices]
    return Devices(tf.distribute.MirroredStrategy(names, cross_device_ops=operations))


@functools.cache
def _cluster(text: str) -> Devices:
    worker, addresses = read_cluster(text)
    _meet(addresses, worker)
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=ANSWER_SECONDS)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except (RuntimeError, tf.errors.OpError) as error:
        raise ToolError(
            f"cannot be connected ({first_line(error)})",
            field="workers of TF_CONFIG",
            remedy="check the addresses; start every worker in a process of its own",
        ) from error
    return Devices(strategy, worker, len(addresses))
