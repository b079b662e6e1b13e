"""A trained experiment in RTL: build/<name>/{model,hls}/ -> build/<name>/{cosim,resources}/."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy.typing as npt

from fdht_hls.boards import DEFAULT_BOARD, Board, get_board
from fdht_hls.rtl.cosim import Cosim, cosim
from fdht_hls.rtl.emit import emit_verilog
from fdht_hls.rtl.simulation.runner import RunSettings
from fdht_hls.rtl.synthesis import SYNTHESIS_TIMEOUT, Resources, check_yosys, count_resources
from fdht_hls.schedule import Schedule, check_schedule, default_schedule, load_schedule
from fdht_hls.simulated import COSIM, DIGEST, REPORT
from fdht_hls.tuner.budget import board_budget
from fdht_hls.tuner.planner import plan
from fdht_models.artifacts import read_json, write_json
from fdht_models.experiment import read_experiment
from fdht_models.stages import find_file, find_stage
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork

#: Which clips a network was made for; in the directories of training and conversion.
EXPERIMENT = "experiment.json"
#: Where counted cores are kept; compiled ones are in `COSIM`.
_RESOURCES = "resources"


def load_design(
    directory: Path,
    schedule: Path | None,
    port_bytes: int = WORD_BYTES,
    board: Board | None = None,
) -> tuple[QuantizedNetwork, Schedule]:
    """The network of an experiment, and the parallelism of its stages.

    Args:
        directory: build/<name>.
        schedule: a file of `Schedule.to_json`; by default that of the conversion, or else what the
            planner finds. A port other than of 8 bytes has `default_schedule`.
        port_bytes: bytes that the port for frames moves in a clock.
        board: to plan for, whatever the conversion has; None: only what is not converted, for
            `DEFAULT_BOARD`.

    Raises:
        ArtifactError: the network or the schedule is missing or damaged.
        ConfigError: the schedule is of another network.
    """
    network = QuantizedNetwork.load(
        find_file(directory / "hls", "hls", "network.json")
        or find_file(directory / "model", "model", "network.json")
        or directory / "model" / "network.json"  # whose absence is told
    )
    chosen = schedule
    if chosen is None and board is None and port_bytes == WORD_BYTES:
        chosen = find_file(directory / "hls", "hls", "schedule.json")
    if chosen is None and board is None and port_bytes != WORD_BYTES:
        return network, default_schedule(network.recurrence, port_bytes)
    if chosen is None:
        budget = board_budget(board or get_board(DEFAULT_BOARD), port_bytes=port_bytes)
        return network, plan(network, budget, "rtl").schedule
    found = load_schedule(chosen)
    check_schedule(network.recurrence, found)
    return network, found


def users_schedule(directory: Path, network: QuantizedNetwork) -> Schedule | None:
    """The schedule with which a user had an experiment converted; None if nobody chose one.

    Raises:
        As `load_design`.
    """
    found = find_stage(directory / "hls", "hls")
    if found is None:
        return None
    _, schedule = load_design(directory, None)
    if "plan" in found.manifest:
        return schedule if found.manifest["plan"].get("chosen_by") == "user" else None
    # Version 0.1 wrote down no plan, and gave what nobody chose this one.
    return schedule if schedule != default_schedule(network.recurrence) else None


def clip_of(directory: Path, network: QuantizedNetwork, frames: int, seed: int) -> npt.NDArray[Any]:
    """Consecutive frames of the experiment's data: codes [frames, inputs].

    Of the data that the conversion was made with, or else the last training.

    Raises:
        ArtifactError: the experiment has not been trained, or its file is damaged.
        DataError: its data are missing.
    """
    recipe = find_file(directory / "hls", "hls", EXPERIMENT) or find_file(
        directory / "model", "model", EXPERIMENT
    )
    source = read_experiment(recipe or directory / "model" / EXPERIMENT).source
    clips = source.streams(1, frames, seed, directory.parent / "data").frames
    return clips[0, :frames].view("int8" if network.input_format.signed else "uint8")


def cosim_experiment(
    directory: Path,
    frames: int,
    schedule: Path | None,
    settings: RunSettings,
    port_bytes: int = WORD_BYTES,
    board: Board | None = None,
) -> Cosim:
    """Simulates a clip of a trained experiment; writes cosim/report.json.

    Raises:
        As `load_design`, `clip_of` and `cosim`.
    """
    network, chosen = load_design(directory, schedule, port_bytes, board)
    clip = clip_of(directory, network, frames, settings.seed)
    result = cosim(network, chosen, clip, directory / COSIM, settings, port_bytes=port_bytes)
    verilog = emit_verilog(network, chosen, port_bytes)
    report = {
        "experiment": network.name,
        # `fdht build` takes the clocks of this very core.
        DIGEST: hashlib.sha256(verilog.encode()).hexdigest(),
        "schedule": chosen.to_json(),
        **result.to_json(),
    }
    write_json(directory / COSIM / REPORT, report)
    return result


def count_experiment(
    directory: Path,
    schedule: Path | None,
    timeout: float = SYNTHESIS_TIMEOUT,
    port_bytes: int = WORD_BYTES,
    board: Board | None = None,
) -> Resources:
    """Resources of an experiment's core; counted once for the same Verilog.

    Raises:
        As `load_design`, `emit_verilog` and `count_resources`.
    """
    network, chosen = load_design(directory, schedule, port_bytes, board)
    return count_once(emit_verilog(network, chosen, port_bytes), directory / _RESOURCES, timeout)


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
    return Resources.from_json(read_json(work / REPORT), str(work / REPORT))
