"""Fixtures of the tests of `fdht_hls`: projects and libraries, made once and shared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
import numpy.typing as npt
import pytest

from fdht_hls.conversion import convert_project
from fdht_hls.csimulation import (
    Build,
    CSimulation,
    compile_library,
    pack_frames,
    unpack_results,
)
from fdht_hls.engine import EnginePlan, lower
from fdht_hls.equality import corner_frames, reference_logits
from fdht_hls.schedule import default_schedule
from fdht_models.preprocessing.definition import Picture
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import QuantizedNetwork
from tests.hls.networks import CLASSIFIERS, Classifier, streams_of

#: Frames in a stream.
FRAMES = 60
#: What the raw frames show, and the feature of them.
PICTURE = Picture(4, 5, "motion_energy", 6)


@dataclass(frozen=True)
class Converted:
    """A classifier, its HLS project, and the C simulations that were asked for so far."""

    classifier: Classifier
    directory: Path

    @property
    def network(self) -> QuantizedNetwork:
        return self.classifier.network

    @property
    def project(self) -> Path:
        return self.directory / "project"

    def library(self, build: Build) -> Path:
        """The compiled C simulation."""
        path = self.directory / f"{build}.so"
        if not path.exists():
            compile_library(self.project, path, build)
        return path

    @cached_property
    def streams(self) -> np.ndarray:
        """Five streams of noise and one of corner cases: codes [6, FRAMES, inputs]."""
        corners = corner_frames(self.network, FRAMES)
        return np.concatenate([streams_of(self.network, 5, FRAMES), corners[None]])

    @cached_property
    def logits(self) -> np.ndarray:
        """What the reference says of `streams`: int64[6, FRAMES, classes]."""
        return reference_logits(self.network, self.streams)


@dataclass(frozen=True)
class SkippingCore(Converted):
    """A classifier, its HLS project, and the C simulations that were asked for so far.

    Args:
        plan: of the core.
        own: what it computes.
    """

    plan: EnginePlan
    own: QuantizedNetwork

    @property
    def network(self) -> QuantizedNetwork:
        return self.own


def convert_skipping(
    directory: Path,
    frames: str,
    weights: str = "constant",
    *,
    contexts: int = 1,
    classifier: Classifier = CLASSIFIERS["bytes"],
) -> SkippingCore:
    """Converts a classifier, by default the one of 60 inputs.

    Args:
        directory: of the project.
        frames: "sparse" or "raw", or "dense".
        weights: their kind, in all stages.
        contexts: states that the core keeps.
        classifier: which.
    """
    network = classifier.network
    if frames == "raw":
        definition = replace(network.preprocessing, values=None, picture=PICTURE)
        network = replace(network, preprocessing=definition)
    schedule = (
        default_schedule(network.recurrence).with_weights(weights).with_frames(frames, contexts)
    )
    core = SkippingCore(classifier, directory, lower(network, schedule), network)
    convert_project(classifier.keras(), network, core.project, {}, core.plan)
    return core


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Converted]:
    """Converts a classifier of `CLASSIFIERS` by name, once."""
    done: dict[str, Converted] = {}

    def convert(name: str) -> Converted:
        if name not in done:
            project = Converted(CLASSIFIERS[name], tmp_path_factory.mktemp(name))
            convert_project(project.classifier.keras(), project.network, project.project, {})
            done[name] = project
        return done[name]

    return convert


@pytest.fixture(scope="session")
def small(converted: Callable[[str], Converted]) -> Converted:
    """60 inputs (64 bytes a frame), 8 units, 3 classes (16 bytes a result)."""
    return converted("bytes")


@pytest.fixture(scope="session")
def skipping(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SkippingCore]:
    """The small classifier in a core for "sparse" or "raw" frames, converted once."""
    return cache(lambda frames: convert_skipping(tmp_path_factory.mktemp(frames), frames))


@pytest.fixture(scope="session")
def ap_types() -> Path:
    """The arbitrary-precision types that hls4ml ships."""
    return Path(hls4ml.__file__).parent / "templates" / "vivado" / "ap_types"


def simulate(
    simulation: CSimulation, network: QuantizedNetwork, frames: npt.NDArray[Any], reset: bool
) -> Codes:
    """Runs consecutive frames: codes [frames, inputs] -> logit codes int64[frames, classes]."""
    results = np.zeros(len(frames) * network.result_bytes, np.uint8)
    simulation.run(pack_frames(network, frames), results, len(frames), reset)
    return unpack_results(network, results)
