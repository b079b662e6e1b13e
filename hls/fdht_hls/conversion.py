"""The stage `convert`: build/<name>/model/ -> build/<name>/hls/.

Converts through hls4ml, compiles the C simulation, proves equality on at least 10,000 integers and
estimates the core's pace.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fdht_hls import solver
from fdht_hls.adders import adders_available
from fdht_hls.boards import DEFAULT_BOARD, get_board
from fdht_hls.csimulation import Build, compiler, compiling
from fdht_hls.dependencies import sources_digest
from fdht_hls.engine import EnginePlan, lower
from fdht_hls.equality import Expected, Progress, corner_frames, prove, reference_logits
from fdht_hls.estimate import load_estimate
from fdht_hls.lint import check_synthesizable, parse_project
from fdht_hls.packing import packed_call
from fdht_hls.proof import Comparison, load_proof
from fdht_hls.proof_streams import inputs_of, proof_streams, raw_streams
from fdht_hls.schedule import Schedule, check_schedule
from fdht_hls.tuner.board_plan import BoardPlan, plan, planned, what_would_fit
from fdht_hls.tuner.budget import Budget, board_budget
from fdht_hls.tuner.training_frames import FramesAtHand, frames_at_hand
from fdht_hls.unfinished import Unfinished, unfinished
from fdht_hls.weights import LoadableWeights, pack_weights
from fdht_models.artifacts import (
    MANIFEST,
    digest_file,
    digest_of,
    read_manifest,
    write_json,
    write_text,
)
from fdht_models.benchmarks.machine import machine_facts
from fdht_models.console import silent
from fdht_models.directories import (
    EQUALITY,
    ESTIMATE,
    EXACT_LIBRARY,
    EXPERIMENT,
    LIBRARY,
    LOADABLE,
    METRICS,
    NETWORK,
    PROFILE,
    PROJECT,
    SCHEDULE,
    BuildDirectory,
    ConversionDirectory,
    ModelDirectory,
    network_in,
)
from fdht_models.errors import EqualityError
from fdht_models.stages import Stage
from fdht_models.tensor.cells.kinds import KINDS
from fdht_models.tensor.quantized import LOGIT_BYTES, QuantizedNetwork
from fdht_models.versions import package_versions

#: Frames of the corner cases that go with the project, for csim and cosim.
_GOLDEN_FRAMES = 10


@dataclass(frozen=True)
class Conversion:
    """What `convert` found.

    Args:
        directory: the stage directory.
        fresh: False if nothing had changed, so that nothing was done.
        equality: pairs compared, as in `equality.json`.
        estimate: as in `estimate.json`.
        plan: as in the manifest: board, budget, whether the design fits, and who chose it.
    """

    directory: ConversionDirectory
    fresh: bool
    equality: Mapping[str, Any]
    estimate: Mapping[str, Any]
    plan: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "directory": str(self.directory.path),
            "fresh": self.fresh,
            "equality": dict(self.equality),
            "estimate": dict(self.estimate),
            "plan": dict(self.plan),
        }


def convert_stage(
    training: ModelDirectory,
    directory: ConversionDirectory,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    schedule: Schedule | None = None,
    budget: Budget | None = None,
    frames: str = "dense",
    contexts: int = 1,
) -> Conversion:
    """Converts a trained experiment, unless its output is current.

    What an interrupted conversion has compiled and compared is not done again.

    Args:
        training: what `fdht train` wrote.
        directory: to write.
        settings: hls4ml backend settings such as `part` and `clock_period` (ns).
        progress: told how far the comparisons have come.
        schedule: parallelism of the stages; by default what `plan` finds for the budget.
        budget: the board, and what a design may take of it; by default of `DEFAULT_BOARD`.
        frames: that a core reads whose schedule is planned. Of one that skips zeros it is planned
            for those of training clips; see `frames_at_hand`.
        contexts: states that such a core keeps.

    Raises:
        ArtifactError: the model is missing or damaged, or the output cannot be written.
        ConfigError: the schedule is of another network.
        ConversionError: hls4ml refuses the model, or Vitis HLS would refuse the core.
        EqualityError: an integer differs.
        ToolError: g++ is missing or fails.
    """
    model = training.open()
    budget = budget or board_budget(get_board(DEFAULT_BOARD))
    known = FramesAtHand()
    if schedule is None:
        known = frames_at_hand(
            network_in(model), budget, "hls", frames, BuildDirectory(training.path.parent)
        )
    inputs = {
        model.name: digest_file(training.manifest),
        "settings": digest_of(dict(settings or {})),
        "schedule": digest_of(schedule.to_json())
        if schedule
        else _planned_for(frames, contexts, known),
        "budget": digest_of(budget.to_json()),
        "source": source_digest(),
        # The libraries are compiled for it.
        "machine": f"{platform.machine()}, {machine_facts()['processor']}",
    }
    fresh = not directory.is_current(inputs)
    if fresh:
        compiler()
        if schedule is None and adders_available():
            solver.begin()  # the planner's; it loads while TensorFlow does
        from fdht_models.kerasapi import tf  # not before: it takes seconds

        # No branch of ours depends on a tensor's value, and reading our sources anew takes longer
        # than running them. Where one did, TensorFlow would refuse it.
        write = tf.autograph.experimental.do_not_convert(_write)
        tools = package_versions("hls4ml", "qkeras", "tensorflow", "numpy")
        with directory.write(inputs, tools) as (temporary, extra):
            done = unfinished(directory.path, inputs)
            try:
                write(
                    model,
                    temporary,
                    extra,
                    settings or {},
                    progress or silent,
                    (schedule, budget, frames, contexts, known),
                    done,
                )
            except EqualityError:
                done.remove()  # a core that is wrong is not what to go on from
                raise
        done.remove()
    return Conversion(
        directory,
        fresh,
        load_proof(directory.path / EQUALITY),
        load_estimate(directory.path / ESTIMATE),
        read_manifest(directory.path, directory.stage)["plan"],
    )


def _planned_for(frames: str, contexts: int, known: FramesAtHand) -> str:
    """What a plan depends on beside the budget."""
    profile = digest_of(known.profile.to_json()) if known.profile else known.why
    several = f" of {contexts} contexts" if contexts > 1 else ""
    return f"planned for {frames} frames{several}" + (f", {profile}" if profile else "")


def source_digest() -> str:
    """Digest of what a conversion depends on in this package, and of what cells compute: another
    version converts anew.
    """
    sources = sources_digest(__name__, Path(__file__).parent)
    return digest_of({"sources": sources, "cells": repr(KINDS)})


def _write(
    model: Stage,
    directory: Path,
    extra: dict[str, Any],
    settings: Mapping[str, Any],
    progress: Progress,
    asked: tuple[Schedule | None, Budget, str, int, FramesAtHand],
    done: Unfinished,
) -> None:
    from fdht_models.training import restore

    network = network_in(model)
    # What takes little time comes first: were it to fail, then not after the proof.
    progress("plan", 0, 1)
    found, extra["plan"] = _plan(network, *asked)
    core_plan, paced = lower(network, found.schedule), found.estimate.to_json()
    progress("plan", 1, 1)
    loadable = LoadableWeights.of(network, core_plan)
    raw = raw_streams(model, network) if core_plan.raw else None
    streams = proof_streams(model, network) if raw is None else inputs_of(network, raw)
    keras = restore(model.directory, return_sequences=True, stateful=True, batch=len(streams))
    expected = Expected(network, streams)

    def proved(libraries: Mapping[str, Path]) -> dict[str, Comparison]:
        known = done.comparisons()
        return prove(
            *(network, keras, libraries, streams, progress),
            known=known,
            keep=done.keep,
            expected=expected,
            raw=raw,
        )

    # Keras needs no library: it is compared while they are compiled.
    make = partial(_make_core, keras, network, core_plan, settings, progress, partial(proved, {}))
    core = done.core(make)
    shutil.copytree(core, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
    libraries = {"csim_exact": core / EXACT_LIBRARY, "csim": core / LIBRARY}
    results = proved(libraries)
    network.save(directory / NETWORK)
    write_json(directory / SCHEDULE, core_plan.schedule.to_json())
    if loadable:
        loadable.save(directory / LOADABLE)
    write_json(directory / EQUALITY, equality_report(results, streams))
    write_json(directory / ESTIMATE, paced)
    if (profile := asked[-1].profile) is not None:
        write_json(directory / PROFILE, profile.to_json())
    # An overlay carries them: which clips the network was made for, and what training measured.
    for name in (EXPERIMENT, METRICS):
        if model.holds(name):
            shutil.copyfile(model.file(name), directory / name)
    extra["estimate"] = {key: value for key, value in paced.items() if key != "stages"}
    extra["design_id"] = f"{network.design_id:016x}"


def _plan(
    network: QuantizedNetwork,
    schedule: Schedule | None,
    budget: Budget,
    frames: str = "dense",
    contexts: int = 1,
    known: FramesAtHand | None = None,
) -> tuple[BoardPlan, dict[str, Any]]:
    """The design, and what the manifest tells of it."""
    known = known or FramesAtHand()
    if schedule is not None:
        check_schedule(network.recurrence, schedule)
        found = planned(network, schedule, budget)
    else:
        found = plan(network, budget, frames=frames, contexts=contexts, profile=known.profile)
    would_fit = None if found.fits else what_would_fit(network, not_on=budget.name)
    told = {
        "chosen_by": "planner" if schedule is None else "user",
        "would_fit": would_fit,
        "planned_for": known.line or None,
    }
    return found, {**told, **found.to_json()}


def _make_core(
    keras: Any,
    network: QuantizedNetwork,
    plan: EnginePlan,
    settings: Mapping[str, Any],
    progress: Progress,
    meanwhile: Callable[[], object],
    directory: Path,
) -> None:
    """Writes project and libraries; `meanwhile` is called while these are compiled and read."""
    convert_project(keras, network, directory / PROJECT, settings, plan)
    progress("compile", 0, 1)
    project = directory / PROJECT
    libraries: dict[Path, Build] = {
        directory / EXACT_LIBRARY: "exact",
        directory / LIBRARY: "native",
    }
    # Neither clang nor g++ needs the interpreter; what reads clang's tree does, at every node.
    with compiling(project, libraries), ThreadPoolExecutor(1) as pool:
        parsed = pool.submit(parse_project, project)
        progress("lint", 0, 1)
        meanwhile()
        check_synthesizable(parsed.result())
        progress("lint", 1, 1)
    progress("compile", 1, 1)


def convert_project(
    model: Any,
    network: QuantizedNetwork,
    directory: Path,
    settings: Mapping[str, Any],
    plan: EnginePlan | None = None,
) -> None:
    """Writes the HLS project of a trained Keras classifier, with golden vectors for its test bench.

    Args:
        model: the classifier.
        network: what was exported from it.
        directory: to write.
        settings: hls4ml backend settings.
        plan: of the network's core; by default with `default_schedule`.

    Raises:
        ConversionError: hls4ml refuses it; hls4ml's message is kept.
    """
    from fdht_hls.conversion_model import conversion_model, convert, quietly

    plan = plan or lower(network)
    quietly(lambda: convert(conversion_model(model, plan), str(directory), settings), network.name)
    write_golden(network, directory / "tb_data", plan.frames)
    if plan.layout:
        write_words(directory / "tb_data" / "weights.hex", pack_weights(plan))


def write_golden(network: QuantizedNetwork, directory: Path, kind: str = "dense") -> None:
    """Writes frames and results as the memory holds them, one 64-bit word a line in hexadecimal.

    Args:
        network: the integers.
        directory: to write to.
        kind: of frames that the core reads; of raw ones there is one more.
    """
    raw, sparse = kind == "raw", kind == "sparse"
    frames = corner_frames(network, _GOLDEN_FRAMES + raw)
    inputs = inputs_of(network, frames[None]) if raw else frames[None]
    logits = reference_logits(network, inputs)[0]
    results = np.zeros((len(logits), network.result_bytes // LOGIT_BYTES), np.int32)
    results[:, : logits.shape[1]] = logits
    directory.mkdir(parents=True, exist_ok=True)
    for name, words in (
        ("frames", packed_call(network, frames, sparse=sparse)[0].view("<u8")),
        ("results", results.ravel().view("<u8")),
    ):
        write_words(directory / f"{name}.hex", words)


def write_words(path: Path, words: np.ndarray[Any, Any]) -> None:
    """Writes 64-bit words, one a line in hexadecimal."""
    write_text(path, "".join(f"{int(word):016x}\n" for word in words))


def equality_report(
    results: Mapping[str, Comparison], streams: np.ndarray[Any, Any]
) -> dict[str, Any]:
    """What `equality.json` holds."""
    return {
        "streams": int(streams.shape[0]),
        "frames_per_stream": int(streams.shape[1]),
        **{name: result.to_json() for name, result in results.items()},
    }
