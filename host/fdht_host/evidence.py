"""What earlier stages found out about a network: taken only where it is of the very one that runs.

Training, conversion and build each leave figures in a directory of their own, and any of them may
have been done anew since. So each figure is read with its file's digest and with the design that it
is of; what does not belong is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdht_hls.estimate import load_estimate
from fdht_hls.proof import load_proof
from fdht_host.report.contents import latency_section
from fdht_models.artifacts import digest_of
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.experiment import read_experiment
from fdht_models.metrics import load_metrics
from fdht_models.stages import Stage, find_file, find_stage
from fdht_overlays.manifest import OverlayManifest
from fdht_overlays.simulated_overlay import EXPERIMENT

_METRICS, _EQUALITY, _ESTIMATE = "metrics.json", "equality.json", "estimate.json"
#: Pairs of the report, and what the conversion calls them.
_PAIRS = {
    "keras_reference": "keras_reference",
    "reference_csim": "reference_csim_exact",
    "reference_csim_native": "reference_csim",
}
#: Of `accuracy` in metrics.json, where training compared the network with others.
_TABLE = ("baselines", "left_out", "comparison")


@dataclass(frozen=True)
class Evidence:
    """Sections of the report that come from earlier stages.

    Args:
        accuracy: `float`, `single_frame`, `mean_frame` and `chance` of training; `baselines`,
            `left_out` and `comparison` where it has them.
        parameters: counts.
        equality: pairs that the conversion compared.
        latency: of the core.
        left_out: why something of a section is not there, by section.
    """

    accuracy: Mapping[str, Any]
    parameters: Mapping[str, Any]
    equality: Mapping[str, Any]
    latency: Mapping[str, Any]
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Recipe:
    """Which test clips an experiment has, and how long they are.

    Args:
        data: section `[data]` of the experiment; empty if it cannot be read.
        note: where it is not certain that it is the overlay's own, why; else empty.
    """

    data: Mapping[str, Any]
    note: str = ""


def gather(directory: Path, overlay: Stage, manifest: OverlayManifest, running: str) -> Evidence:
    """Reads what belongs to the network that runs.

    Args:
        directory: build/<name>, with what is there of `model/` and `hls/`.
        overlay: that runs.
        manifest: its description.
        running: identity of the network whose weights the core has, 16 hexadecimal digits.
    """
    left_out: dict[str, str] = {}

    def taken(section: str, read: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        try:
            return read()
        except ArtifactError as error:
            left_out[section] = str(error)
            return {}

    model, hls = directory / "model", directory / "hls"
    accuracy = taken("accuracy", lambda: _accuracy(_of(model, "model", running)))
    # Of shapes, which networks that can be loaded into one core share.
    built = manifest.design_id
    parameters = taken("parameters", lambda: _parameters(_of(model, "model", built)))
    equality = taken("equality", lambda: _equality(_of(hls, "hls", running)))
    estimate = taken("latency", lambda: _estimate(_of(hls, "hls", built), overlay, manifest))
    latency = _latency(manifest) | dict(estimate)
    return Evidence(accuracy, parameters, equality, latency, left_out)


def recipe_of(directory: Path, overlay: Stage) -> Recipe:
    """The experiment's data: as the overlay carries it, else as the last training left it.

    Raises:
        ConfigError: neither is there.
        ArtifactError: a file is damaged.
    """
    found = find_recipe(directory, overlay)
    if found is None:
        raise ConfigError(
            "is not here, so that the test clips are not known",
            field=str(directory / "model" / EXPERIMENT),
            remedy="give files or folders as --source, or run fdht train",
        )
    return found


def find_recipe(directory: Path, overlay: Stage) -> Recipe | None:
    """As `recipe_of`; None if it is not there."""
    if overlay.holds(EXPERIMENT):
        return Recipe(read_experiment(overlay.file(EXPERIMENT)).to_json()["data"])
    model = directory / "model"
    path = find_file(model, "model", EXPERIMENT)
    if path is None:
        return None
    found = find_stage(model, "model")
    design = None if found is None else found.design_id
    note = "" if design == overlay.design_id else f"{path} is of another training than the overlay"
    return Recipe(read_experiment(path).to_json()["data"], note)


def _of(directory: Path, stage: str, design: str) -> Stage:
    """A stage directory that is about this design."""
    found = find_stage(directory, stage)
    if found is None:
        raise ArtifactError("is not here", field=str(directory))
    if found.design_id != design:
        raise ArtifactError(
            f"is of another network than {design}, which ran",
            field=f"{directory}: design",
            value=found.design_id,
        )
    return found


def _accuracy(model: Stage) -> dict[str, Any]:
    scores = load_metrics(model.file(_METRICS))["accuracy"]
    always = {key: scores.get(key) for key in ("float", "single_frame", "mean_frame", "chance")}
    return always | {key: scores[key] for key in _TABLE if key in scores}


def _parameters(model: Stage) -> Mapping[str, Any]:
    counts: Mapping[str, Any] = load_metrics(model.file(_METRICS))["parameters"]
    return counts


def _equality(hls: Stage) -> dict[str, Any]:
    proof = load_proof(hls.file(_EQUALITY))
    return {pair: proof[name] for pair, name in _PAIRS.items()}


def _estimate(hls: Stage, overlay: Stage, manifest: OverlayManifest) -> dict[str, Any]:
    """The section `latency`, if it is an estimate of the overlay's own schedule."""
    value = load_estimate(hls.file(_ESTIMATE))
    taken = overlay.manifest.get("inputs", {}).get("estimate")
    cycles = manifest.cycles_per_frame
    if taken is None:
        same = (cycles.cycles, cycles.kind) == (value["cycles_per_frame"], "estimated")
    else:
        same = taken == digest_of(hls.manifest.get("estimate"))
    if not same:
        raise ArtifactError(
            "is of another conversion than the overlay", field=str(hls.directory / _ESTIMATE)
        )
    return latency_section(value, manifest.clock_mhz)


def _latency(manifest: OverlayManifest) -> dict[str, Any]:
    """What the overlay itself says of its pace."""
    cycles, clock = manifest.cycles_per_frame, manifest.clock_mhz
    return {
        "kind": cycles.kind,
        "cycles_per_frame": cycles.cycles,
        "clock_mhz": clock,
        "frames_per_second": clock * 1e6 / cycles.cycles,
        "frame_microseconds": cycles.cycles / clock,
    }
