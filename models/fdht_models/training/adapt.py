"""A checkpoint trained on from another experiment's, where only the clips have changed.

adapt_checkpoint(
    load_experiment("motion"), load_experiment("motion-no-dead-zone"), ShortCourse(), Path("build")
)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from fdht_models.artifacts import digest_file, digest_of
from fdht_models.errors import ConfigError
from fdht_models.experiment import Experiment, checkpoint_path
from fdht_models.interruption import termination_as_interrupt
from fdht_models.training.checkpoint import (
    load_checkpoint,
    pack_weights,
    recipe_digest,
    save_checkpoint,
)
from fdht_models.training.display import Display
from fdht_models.training.loop import Surroundings
from fdht_models.training.models import weights_of
from fdht_models.training.recipe import adapted


@dataclass(frozen=True)
class ShortCourse:
    """How weights are adapted: a recipe's two phases, shortened.

    Attributes:
        train_clips: the first of the experiment's.
        float_epochs: passes over them in floating point.
        quantized_epochs: passes with quantisation.
        rate: Adam's first rate in floating point; that with quantisation is the experiment's.
    """

    train_clips: int = 6400
    float_epochs: int = 2
    quantized_epochs: int = 1
    rate: float = 1e-3


def adapt_checkpoint(
    experiment: Experiment,
    former: Experiment,
    course: ShortCourse,
    directory: Path,
    path: Path | None = None,
    quiet: bool = False,
) -> Path:
    """Makes the checkpoint of an experiment from that of another; returns the file.

    Both its models are trained on, and the formats stay. The file says where it comes from. An
    interrupted course goes on after its last epoch.

    Args:
        experiment: whose checkpoint it becomes.
        former: differs from it in `[data]` alone, and has a checkpoint.
        course: how long.
        directory: keeps clips (`data`) and the course.
        path: where to; by default where checkpoints that ship are.
        quiet: show no progress.

    Raises:
        ConfigError: the two differ in more than data, or `former` has no checkpoint.
        NumericError: training diverged.
        ArtifactError: the file cannot be written.
    """
    for section in ("model", "quantization"):
        if getattr(experiment, section) != getattr(former, section):
            raise ConfigError(
                f"differs from that of {former.name}, so that its weights mean something else",
                field=f"{experiment.name}.{section}",
                remedy="train the experiment from scratch",
            )
    kept = load_checkpoint(former)
    settings = experiment.to_json()
    settings["data"]["train_clips"] = course.train_clips
    settings["training"] |= {
        key: value for key, value in asdict(course).items() if key != "train_clips"
    }
    short = Experiment.from_json(settings)
    clips = short.source.load("train", directory / "data", progress=not quiet)
    begun = digest_file(checkpoint_path(former.name))
    key = digest_of({"recipe": recipe_digest(short), "former": begun})
    around = Surroundings(Display(quiet), working=directory / experiment.name, key=key)
    with termination_as_interrupt():
        trained = adapted(short, kept, clips, around)
    origin = f"{former.name}: " + ", ".join(f"{k} {v}" for k, v in asdict(course).items())
    packed = pack_weights(weights_of(trained.float_model), weights_of(trained.quantized_model))
    return save_checkpoint(experiment, kept.formats, packed, origin, path)
