"""What earlier stages found out about a network: what the overlay carries of it.

An overlay's figures are of the design that it was built for. Where the core runs with other weights
than those, what depends on weights is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fdht_hls.estimate import check_estimate
from fdht_hls.proof import check_proof
from fdht_host.report.contents import latency_section
from fdht_models.directories import EXPERIMENT, experiment_in
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.metrics import check_metrics
from fdht_models.stages import Stage
from fdht_overlays.figures import Figure
from fdht_overlays.manifest import OverlayManifest

#: Pairs of the report, and what the conversion calls them.
_PAIRS = {
    "keras_reference": "keras_reference",
    "reference_csim": "reference_csim_exact",
    "reference_csim_native": "reference_csim",
}
#: Of `accuracy` in metrics.json: always in the report, and where training compared the network.
_SCORES = ("float", "single_frame", "mean_frame", "chance")
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
        note: why it cannot be read, where that is so; else empty.
    """

    data: Mapping[str, Any]
    note: str = ""


def gather(manifest: OverlayManifest, running: str) -> Evidence:
    """The figures that belong to the network that runs.

    Args:
        manifest: of the overlay.
        running: identity of the network whose weights the core has, 16 hexadecimal digits.
    """
    left_out: dict[str, str] = {}

    def taken(
        section: str, name: str, read: Callable[[Figure], Mapping[str, Any]], of_weights: bool
    ) -> Mapping[str, Any]:
        figure: Figure | None = getattr(manifest.figures, name)
        if figure is None:
            left_out[section] = manifest.figures.left_out.get(name, "nobody knows it")
        elif of_weights and running != manifest.design_id:
            left_out[section] = f"that of {manifest.design_id} is known, and {running} ran"
        else:
            try:
                return read(figure)
            except ArtifactError as error:
                left_out[section] = str(error)
        return {}

    accuracy = taken("accuracy", "training", _accuracy, of_weights=True)
    # Of shapes, which networks that can be loaded into one core share.
    parameters = taken("parameters", "training", _parameters, of_weights=False)
    equality = taken("equality", "equality", _equality, of_weights=True)
    estimate = taken(
        "latency",
        "estimate",
        lambda figure: check_estimate(figure.value, figure.source),
        of_weights=False,
    )
    # Without an estimate, what the overlay itself says of its pace.
    cycles = manifest.cycles_per_frame
    known = estimate or {"kind": cycles.kind, "cycles_per_frame": cycles.cycles}
    latency = latency_section(known, manifest.clock_mhz)
    return Evidence(accuracy, parameters, equality, latency, left_out)


def recipe_of(overlay: Stage) -> Recipe:
    """The experiment's data, as the overlay carries it.

    Raises:
        ConfigError: it carries none.
        ArtifactError: its file is damaged.
    """
    found = find_recipe(overlay)
    if found is None:
        raise ConfigError(
            "is not in the overlay, so that the test clips are not known",
            field=EXPERIMENT,
            remedy="give files or folders as --source, or run fdht build again",
        )
    return found


def find_recipe(overlay: Stage) -> Recipe | None:
    """As `recipe_of`; None if it is not there."""
    if not overlay.holds(EXPERIMENT):
        return None
    return Recipe(experiment_in(overlay).to_json()["data"])


def _accuracy(figure: Figure) -> dict[str, Any]:
    scores = check_metrics(figure.value, figure.source)["accuracy"]
    always = {key: scores.get(key) for key in _SCORES}
    return always | {key: scores[key] for key in _TABLE if key in scores}


def _parameters(figure: Figure) -> Mapping[str, Any]:
    counts: Mapping[str, Any] = check_metrics(figure.value, figure.source)["parameters"]
    return counts


def _equality(figure: Figure) -> dict[str, Any]:
    proof = check_proof(figure.value, figure.source)
    return {pair: proof[name] for pair, name in _PAIRS.items()}
