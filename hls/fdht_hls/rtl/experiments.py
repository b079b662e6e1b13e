"""A trained experiment in RTL: build/<name>/{model,hls}/ -> build/<name>/{cosim,resources}/."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy.typing as npt

from fdht_hls.boards import DEFAULT_BOARD, Board, get_board
from fdht_hls.engine import EnginePlan, lower
from fdht_hls.rtl.core import emit_verilog
from fdht_hls.rtl.cosim import Cosim, cosim
from fdht_hls.rtl.simulation.runner import RunSettings
from fdht_hls.rtl.yosys_count import SYNTHESIS_TIMEOUT, Resources, check_yosys, count_resources
from fdht_hls.schedule import Schedule, default_schedule, load_schedule
from fdht_hls.simulated import DIGEST
from fdht_hls.tuner.board_plan import plan
from fdht_hls.tuner.budget import board_budget
from fdht_hls.tuner.training_frames import frames_at_hand
from fdht_models.artifacts import write_json
from fdht_models.directories import EXPERIMENT, NETWORK, REPORT, SCHEDULE, BuildDirectory
from fdht_models.errors import ToolError
from fdht_models.experiment import read_experiment
from fdht_models.records import load_record
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork


def load_design(
    build: BuildDirectory,
    schedule: Path | None,
    port_bytes: int = WORD_BYTES,
    board: Board | None = None,
    frames: str | None = None,
    contexts: int | None = None,
) -> tuple[QuantizedNetwork, EnginePlan]:
    """The network of an experiment, and the plan of its core.

    Args:
        build: with what conversion, or else training, left.
        schedule: a file of `Schedule.to_json`; by default that of the conversion, or else what the
            planner finds. A port other than of 8 bytes has `default_schedule`.
        port_bytes: bytes that the port for frames moves in a clock.
        board: to plan for, whatever the conversion has; None: only what is not converted, for
            `DEFAULT_BOARD`.
        frames: that the core reads; None: as `schedule` has it, or else the conversion.
        contexts: that it keeps; None: likewise.

    Raises:
        ArtifactError: the network or the schedule is missing or damaged.
        ConfigError: the schedule is of another network, or for other frames than are asked for.
    """
    # Of neither, the absence of the model's is told.
    network = QuantizedNetwork.load(build.find_trained(NETWORK) or build.model.path / NETWORK)
    if schedule is not None:
        return network, lower(network, load_schedule(schedule, frames, contexts), port_bytes)
    file = build.hls.find_file(SCHEDULE)
    found = None if file is None else load_schedule(file)
    if frames is None and found is not None:
        frames = found.frames
    if contexts is None and found is not None:
        contexts = found.contexts
    if board is not None or (found is None and port_bytes == WORD_BYTES):
        budget = board_budget(board or get_board(DEFAULT_BOARD), port_bytes=port_bytes)
        kind = frames or "dense"
        known = frames_at_hand(network, budget, "rtl", kind, build)
        found = plan(
            network, budget, "rtl", frames=kind, contexts=contexts or 1, profile=known.profile
        ).schedule
    elif found is None or port_bytes != WORD_BYTES:
        found = default_schedule(network.recurrence, port_bytes)
    return network, lower(network, found.with_frames(frames, contexts), port_bytes)


def users_schedule(build: BuildDirectory, network: QuantizedNetwork) -> Schedule | None:
    """The schedule with which a user had an experiment converted; None if nobody chose one.

    Raises:
        As `load_design`.
    """
    found = build.hls.find()
    if found is None:
        return None
    schedule = load_design(build, None)[1].schedule
    if "plan" in found.manifest:
        return schedule if found.manifest["plan"].get("chosen_by") == "user" else None
    # Version 0.1 wrote down no plan, and gave what nobody chose this one.
    return schedule if schedule != default_schedule(network.recurrence) else None


def clip_of(
    build: BuildDirectory, network: QuantizedNetwork, frames: int, seed: int, *, raw: bool = False
) -> npt.NDArray[Any]:
    """Consecutive frames of the experiment's data: codes [frames, inputs].

    Of the data that the conversion was made with, or else the last training. Raw frames, for a core
    that computes the feature, are one more.

    Raises:
        ArtifactError: the experiment has not been trained, or its file is damaged.
        DataError: its data are missing.
    """
    recipe = build.find_trained(EXPERIMENT) or build.model.path / EXPERIMENT
    source = read_experiment(recipe).source
    if raw:
        return source.raw_streams(1, frames, seed, build.data)[0, : frames + 1]
    clips = source.streams(1, frames, seed, build.data).frames
    return clips[0, :frames].view("int8" if network.input_format.signed else "uint8")


def cosim_experiment(
    build: BuildDirectory,
    frames: int,
    schedule: Path | None,
    settings: RunSettings,
    port_bytes: int = WORD_BYTES,
    board: Board | None = None,
    core_frames: str | None = None,
    contexts: int | None = None,
) -> Cosim:
    """Simulates a clip of a trained experiment; writes cosim/report.json.

    Args:
        build: of the experiment.
        frames: that the clip has.
        schedule: see `load_design`.
        settings: of the simulation.
        port_bytes: see `load_design`.
        board: see `load_design`.
        core_frames: the kind of frames that the core reads; see `load_design`.
        contexts: that it keeps; see `load_design`.

    Raises:
        As `load_design`, `clip_of` and `cosim`.
    """
    network, core = load_design(build, schedule, port_bytes, board, core_frames, contexts)
    clip = clip_of(build, network, frames, settings.seed, raw=core.raw)
    result = cosim(network, core, clip, build.cosim, settings)
    report = {
        "experiment": network.name,
        # `fdht build` takes the clocks of this very core.
        DIGEST: hashlib.sha256(emit_verilog(core).encode()).hexdigest(),
        "schedule": core.schedule.to_json(),
        **result.to_json(),
    }
    write_json(build.cosim / REPORT, report)
    return result


def count_experiment(
    build: BuildDirectory,
    schedule: Path | None,
    timeout: float = SYNTHESIS_TIMEOUT,
    port_bytes: int = WORD_BYTES,
    board: Board | None = None,
    frames: str | None = None,
    contexts: int | None = None,
) -> Resources:
    """Resources of an experiment's core; counted once for the same Verilog.

    Raises:
        As `load_design`, `emit_verilog` and `count_resources`.
    """
    _, core = load_design(build, schedule, port_bytes, board, frames, contexts)
    return count_once(emit_verilog(core), build.resources, timeout)


def count_once(verilog: str, cache: Path, timeout: float = SYNTHESIS_TIMEOUT) -> Resources:
    """Resources of a core; what the cache has is not counted again.

    Raises:
        As `count_resources`.
    """
    key = hashlib.sha256(f"{check_yosys()}\0{verilog}".encode()).hexdigest()[:24]
    work = cache / key
    if not (work / REPORT).is_file():
        found = count_resources(verilog, work, timeout)
        write_json(work / REPORT, found.to_json())
    remedy = "delete the directory resources/ of the build"
    return load_record(Resources, work / REPORT, error=ToolError, remedy=remedy)
