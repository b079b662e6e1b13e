"""What is asked of a training, checked before TensorFlow is imported, which takes many seconds.

Also which processes train together: the cluster of a TF_CONFIG.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fdht_models.artifacts import DECOMPOSITION, MANIFEST, check_place
from fdht_models.directories import BuildDirectory, DecompositionDirectory
from fdht_models.documents import parse_json
from fdht_models.errors import ArtifactError, ConfigError, require_known
from fdht_models.experiment import Experiment
from fdht_models.files import require_regular_file
from fdht_models.records import read_record
from fdht_models.stages import Stage
from fdht_models.training.checkpoint import load_checkpoint

#: Training steps from a checkpoint.
DEFAULT_STEPS = 20
_STARTS = ("scratch", "checkpoint", DECOMPOSITION)
#: Files of weights of a dense layer, by the end of their names.
KERAS_MODELS, ARRAYS = (".keras", ".h5", ".hdf5"), ".npz"
LOCAL, WORKERS = "local", "workers"


def check_training(
    experiment: Experiment,
    directory: Path,
    *,
    start: str,
    steps: int | None,
    distribute: str | None,
) -> None:
    """Refuses what a training would refuse, as far as that can be known without TensorFlow.

    The arguments are those of `train_stage`.

    Raises:
        ConfigError: an option, or the experiment's folder of data, cannot be used.
        ArtifactError: the checkpoint is damaged, nothing was decomposed, or `directory` cannot be
            written.
    """
    check_start(experiment, start, steps)
    if start == DECOMPOSITION:
        check_decomposed(BuildDirectory(directory).decomposition)
    check_distribution(distribute)
    check_data(experiment)
    check_output(directory)


def check_start(experiment: Experiment, start: str, steps: int | None) -> int:
    """Steps from the checkpoint; 0 from elsewhere.

    Raises:
        ConfigError: there is no such start, or so many steps are not possible from there.
        ArtifactError: the checkpoint is damaged.
    """
    require_known(start, _STARTS, "start", "is not a start")
    if start != "checkpoint":
        if steps is not None:
            raise ConfigError(
                f"has no effect with start {start!r}",
                field="steps",
                value=steps,
                remedy="start from the checkpoint, or change training.*_epochs",
            )
        return 0
    load_checkpoint(experiment)
    most = (experiment.data.train_clips or 0) // experiment.training.batch
    steps = min(DEFAULT_STEPS, most) if steps is None else steps
    if not 1 <= steps <= most:
        raise ConfigError(
            f"must be from 1 to {most}, one pass over the training clips",
            field="steps",
            value=steps,
            remedy="choose fewer steps, or start from scratch",
        )
    return steps


def check_decomposed(source: DecompositionDirectory) -> Stage:
    """What `fdht decompose` wrote; raises an ArtifactError unless it did."""
    try:
        return source.open()
    except ArtifactError as error:
        remedy = "run fdht decompose with the weights of a dense layer first"
        raise error.moved(remedy=remedy) from error


def check_dense_weights(path: Path) -> None:
    """Refuses a file that cannot hold the weights of a dense layer, without reading it.

    Raises:
        ArtifactError: there is no such file, or it is no regular file.
        ConfigError: its name says that it is neither a Keras model nor arrays.
    """
    require_regular_file(path, error=ArtifactError)
    if path.suffix.lower() not in (ARRAYS, *KERAS_MODELS):
        raise ConfigError(
            f"is neither a Keras model ({', '.join(KERAS_MODELS)}) nor a file of arrays ({ARRAYS})",
            field="weights",
            value=str(path),
            remedy="see docs/decompose.md for what is read",
        )


def check_data(experiment: Experiment) -> None:
    """Raises a ConfigError if a folder of data that the experiment names is not there."""
    for section in (experiment.data, *(experiment.data.mix or ())):
        if section.root is not None and not Path(section.root).is_dir():
            raise ConfigError(
                "there is no such folder",
                field="data.root",
                value=section.root,
                remedy="correct it, or give --data-root",
            )


def check_output(directory: Path) -> None:
    """Raises an ArtifactError if a directory cannot be made or written."""
    check_place(directory / MANIFEST)


def check_distribution(distribute: str | None) -> None:
    """Refuses a kind of distribution that there is not, or a TF_CONFIG that it needs.

    Raises:
        ConfigError: it is neither None, "local" nor "workers", or TF_CONFIG cannot be used.
    """
    if distribute == WORKERS:
        read_cluster(os.environ.get("TF_CONFIG", ""))
    elif distribute is not None:
        require_known(distribute, (LOCAL, WORKERS), "distribute", "is no kind of distribution")


@dataclass(frozen=True)
class _Task:
    type: str
    index: int


@dataclass(frozen=True)
class _Config:
    """A TF_CONFIG; what other programs keep there beside these two is theirs."""

    cluster: Mapping[str, tuple[str, ...]]
    task: _Task


def read_cluster(text: str) -> tuple[int, list[str]]:
    """This worker's number, and the addresses "host:port" of all workers, of a TF_CONFIG.

    Raises:
        ConfigError: it is missing, no JSON, or names no cluster of workers and a task in it.
    """
    if not text:
        raise _refusal("is missing: which workers there are, and which one this is", None)
    try:
        value = parse_json(text, "TF_CONFIG", error=ConfigError, remedy="see docs/training.md")
        if not isinstance(value, Mapping):
            raise ConfigError("must be a table")
        own = {key: value[key] for key in ("cluster", "task") if key in value}
        config = read_record(_Config, own)
    except ConfigError as error:
        raise _refusal(f"does not describe a cluster ({error})", text) from error
    kind, index = config.task.type, config.task.index
    sizes = {name: len(addresses) for name, addresses in config.cluster.items()}
    if not set(sizes) <= {"chief", "worker"} or not sizes or sizes.get("chief", 1) != 1:
        raise _refusal("may have workers and one chief only", text)
    if not 0 <= index < sizes.get(kind, 0):
        raise _refusal(f"its cluster has no task {kind} {index}", text)
    first = sizes.get("chief", 0) if kind == "worker" else 0
    return first + index, [*config.cluster.get("chief", ()), *config.cluster.get("worker", ())]


def _refusal(problem: str, value: str | None) -> ConfigError:
    example = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    return ConfigError(problem, field="TF_CONFIG", value=value, remedy=f"set it to {example}")
