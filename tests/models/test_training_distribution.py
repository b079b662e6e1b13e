"""Data-parallel training: replicas and workers follow the course of a single device."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht_models.errors import ConfigError, ToolError
from fdht_models.kerasapi import tf
from fdht_models.training import distribution
from fdht_models.training.distribution import (
    ALONE,
    Devices,
    answers_expected,
    devices_for,
    read_cluster,
)

#: Units in the last place of float32.
EPSILON = np.finfo(np.float32).eps
SECONDS = 600


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def config(ports: list[int], index: int) -> str:
    workers = [f"localhost:{port}" for port in ports]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


class Processes:
    """Python processes whose output goes to files: a full pipe would stop one of several."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, code: str, *arguments: str, **variables: str) -> int:
        number = len(self._running)
        command = [sys.executable, "-c", code, *arguments]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
        paths = [self._directory / f"{kind}{number}" for kind in ("output", "errors")]
        with paths[0].open("wb") as output, paths[1].open("wb") as errors:
            self._running.append(
                subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
            )
        return number

    def result(self, number: int) -> dict[str, Any]:
        """The last line that a process prints, as JSON."""
        code = self._running[number].wait(timeout=SECONDS)
        assert code == 0, (self._directory / f"errors{number}").read_text()
        lines = (self._directory / f"output{number}").read_text().splitlines()
        found: dict[str, Any] = json.loads(lines[-1])
        return found

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait(timeout=60)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path)
    yield found
    found.end()


_COMMON = """
import json, sys
from dataclasses import replace
import numpy as np
from fdht_models.kerasapi import keras, tf
from fdht_models.training.distribution import ALONE, devices_for
from fdht_models.training.loop import fit
from fdht_models.training.phase import training_step
from tests.models.test_training_loop import QUIET, PATIENT, clips, model, weights
from tests.models.test_training_options import ALL_OPTIONS
"""

# One step of gradient descent at rate 1: the change of the weights is the gradient itself, which
# tells a wrong scale that Adam would hide. 7 clips: replicas get 4 and 3.
_LOCAL = (
    _COMMON
    + """
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
found = {}
for devices in (ALONE, devices_for("local")):
    given = clips(7)
    with devices.scope():
        net = model()
        descent = keras.optimizers.SGD(1.0, clipnorm=0.1)
        descent.build(net.trainable_variables)
    parts = [(given.frames[part], given.labels[part])
             for part in devices.local_parts(np.arange(7))]
    before = weights(net)
    figures = training_step(net, descent, 7, devices)(*devices.place(parts))
    change = [(one - other).ravel().tolist() for one, other in zip(weights(net), before)]
    with devices.scope():
        net = model()
    history = fit(net, clips(), PATIENT, replace(QUIET, devices=devices))
    with devices.scope():
        net = model()
    phase = replace(ALL_OPTIONS, validation_share=0.25, epochs=2, batch=9)
    options = fit(net, clips(), phase, replace(QUIET, devices=devices))
    found[devices.replicas] = {"options": options,
        "sizes": [len(part) for _, part in parts], "figures": [float(one) for one in figures],
        "change": change, "history": history}
print(json.dumps(found))
"""
)


def test_replicas_in_one_process_compute_the_gradient_of_the_global_batch(
    processes: Processes,
) -> None:
    found = processes.result(processes.start(_LOCAL))
    one, two = found["1"], found["2"]
    assert (one["sizes"], two["sizes"]) == ([7], [4, 3])
    # Sums of 7 terms below 4 in magnitude, in another order: at most 7 roundings of each.
    np.testing.assert_allclose(two["figures"], one["figures"], rtol=0, atol=7 * 4 * EPSILON)
    for found_change, change in zip(two["change"], one["change"], strict=True):
        assert np.abs(change).max() > 1e-3
        # The difference of weights below 2, and gradients of norm 0.1: the weights' rounding rules.
        np.testing.assert_allclose(found_change, change, rtol=0, atol=7 * 2 * EPSILON)
    # And so over a phase with early stopping: the same epochs.
    losses = [[row["validation_loss"] for row in run["history"]] for run in (one, two)]
    assert len(losses[0]) < 16
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    # And with what is drawn for each clip, such as dropped units: the same on any replica.
    for row, other in zip(one["options"], two["options"], strict=True):
        for name in ("loss", "validation_loss"):
            np.testing.assert_allclose(other[name], row[name], rtol=1e-3)


_WORKER = """
import json, sys
from pathlib import Path
import numpy as np
from fdht_models.experiment import Experiment
from fdht_models.training import evaluate, loop, recipe, train_stage
from fdht_models.data.baseline import BaselineTable, largest_class
evaluate.baseline_table = lambda train, test, *_: BaselineTable((largest_class(test),))
kept = []
def record(model, *arguments, **options):
    history = original(model, *arguments, **options)
    kept.append([history, [v.numpy().tolist() for v in model.trainable_variables]])
    return history
original, recipe.fit = recipe.fit, record
build = Path(sys.argv[1])
experiment = Experiment.from_json(json.loads(sys.argv[2]))
distribute = sys.argv[3] or None
metrics = train_stage(experiment, build / "small", cache=build / "data", quiet=True,
                      distribute=distribute)
print(json.dumps({"phases": kept, "metrics": metrics}))
"""


@pytest.mark.slow
def test_two_workers_train_what_one_trains(tmp_path: Path, processes: Processes) -> None:
    from tests.models.training_samples import small_experiment

    recipe = {"float_epochs": 2, "quantized_epochs": 1, "validation_share": 0.1, "patience": 2}
    experiment = small_experiment(data={"train_clips": 84, "test_clips": 35}, training=recipe)
    text = json.dumps(experiment.to_json())
    ports = free_ports(2)
    # Directories of their own: what is in the second one, a worker wrote that must not.
    places = [tmp_path / str(index) for index in range(2)]
    running = [
        processes.start(_WORKER, str(place), text, "workers", TF_CONFIG=config(ports, index))
        for index, place in enumerate(places)
    ]
    chief, other = (processes.result(number) for number in running)
    alone = processes.result(processes.start(_WORKER, str(tmp_path / "alone"), text, ""))
    # Equal in every bit: all apply the same sum of gradients to the same weights.
    assert chief == other
    assert (places[0] / "small" / "model" / "metrics.json").is_file()
    assert not (places[1] / "small").exists()
    (expected, _), _ = alone["phases"]
    (found, _), _ = chief["phases"]
    assert [row["epoch"] for row in found] == [row["epoch"] for row in expected] == [1, 2]
    for name in ("loss", "validation_loss"):
        # Gradients differ in the order of 20 float32 terms, 20 * 1.2e-7 of their norm; Adam
        # divides by their size, which for weights with a thousandth of the norm makes 2.4e-3 of
        # a step; 6 steps of 1e-2 then move a weight by 1.4e-4 at most, and the loss by 1e-3.
        values = [[row[name] for row in rows] for rows in (found, expected)]
        np.testing.assert_allclose(values[0], values[1], rtol=0, atol=1e-3)
    assert chief["metrics"]["clips"] == alone["metrics"]["clips"]


def test_a_missing_worker_ends_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = free_ports(2)
    monkeypatch.setattr(distribution, "CONNECT_SECONDS", 0.5)
    monkeypatch.setenv("TF_CONFIG", config(ports, 0))
    message = rf"^TF_CONFIG: a worker = 'localhost:{ports[1]}': did not start within 0\.5 s; "
    with pytest.raises(ToolError, match=message):
        devices_for("workers")


def test_a_lost_worker_ends_in_one_line() -> None:
    lost = tf.errors.UnavailableError(None, None, "Graph execution error:\n\nreset by peer")
    with (
        pytest.raises(ToolError, match=r"^another worker: does not answer \(TensorFlow: Unavail"),
        answers_expected(),
    ):
        raise lost


def test_a_port_in_use_ends_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("", 0)) as listener:
        ports = [listener.getsockname()[1], *free_ports(1)]
        monkeypatch.setenv("TF_CONFIG", config(ports, 0))
        with pytest.raises(ToolError, match=rf"'localhost:{ports[0]}': cannot listen there"):
            devices_for("workers")


CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}


@pytest.mark.parametrize(
    ("cluster", "kind", "index", "expected"),
    [
        (CLUSTER, "chief", 0, (0, ["a:1", "b:1", "c:1"])),
        (CLUSTER, "worker", 1, (2, ["a:1", "b:1", "c:1"])),
        ({"worker": ["b:1", "c:1"]}, "worker", 0, (0, ["b:1", "c:1"])),
    ],
)
def test_the_chief_is_number_0(
    cluster: dict[str, Any], kind: str, index: int, expected: tuple[int, list[str]]
) -> None:
    text = json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})
    assert read_cluster(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "^TF_CONFIG: is missing"),
        ("{", "does not describe a cluster"),
        ("[]", "does not describe a cluster"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "workers and one"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "no task"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}', "no task"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_cluster(text)


def test_another_kind_of_distribution_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^distribute = 'worker': .* 'workers'"):
        devices_for("worker")


def test_without_distribution_there_is_one_device() -> None:
    assert devices_for(None) is ALONE
    assert (ALONE.replicas, ALONE.is_chief) == (1, True)


def test_a_batch_smaller_than_the_replicas_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Devices, "replicas", property(lambda _: 4))
    Devices().check_batch(4)
    with pytest.raises(ConfigError, match=r"^training\.batch = 3: must be at least 4"):
        Devices().check_batch(3)
