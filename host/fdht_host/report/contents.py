"""Puts a run's figures together as the content of `report.json`.

What a run did not do is there with the value None and the kind "not run": nothing is invented and
no key is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from fdht_host.answers import ClipAnswer
from fdht_models.errors import ArtifactError
from fdht_models.records import read_record

SCHEMA = 3
#: How a figure came about. "counted" is exact: a count of parameters or of compared values.
KINDS = (
    "measured",
    "counted",
    "simulated",
    "estimated",
    "modelled",
    "unmeasured",
    "refused",
    "not run",
)
PAIRS = ("keras_reference", "reference_csim", "reference_board")
#: "read" is decoding, resizing and feature of clips that are read as in training, in one go.
PHASES = ("read", "decode", "resize", "feature", "pack", "transfer", "compute", "unpack")

# Each section's required keys. Sections may carry more; these are never missing.
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "accuracy": ("quantized", "float", "chance", "single_frame"),
    "equality": PAIRS,
    "parameters": ("lstm", "dense_lstm"),
    "latency": ("cycles_per_frame", "clock_mhz", "frames_per_second", "result_microseconds"),
    "throughput": (*PHASES, "overall"),
    "energy": ("value_mj_per_frame", "net_mj_per_frame", "uncertainty_mj", "explanation"),
    "cpu_energy": ("value_mj_per_frame", "net_mj_per_frame", "uncertainty_mj", "explanation"),
    "video": ("file", "frames", "predictions"),
    "provenance": (),
}
_PARTS: Mapping[str, tuple[str, ...]] = {
    "equality": ("compared", "mismatches"),
    "throughput": ("frames_per_second", "seconds_per_frame", "kind"),
}
_KIND_IF_RUN: Mapping[str, str] = {
    "accuracy": "measured",
    "equality": "counted",
    "parameters": "counted",
    "latency": "estimated",
    "video": "measured",
}


@dataclass(frozen=True)
class Phase:
    """Seconds that `frames` frames spent in one phase of the host's path.

    `kind` is "measured" for time on the machine that ran it; `note` says what it was spent on, for
    example "C simulation in place of the core".
    """

    seconds: float
    frames: int
    kind: str = "measured"
    note: str = ""


def throughput_section(phases: Mapping[str, Phase], overall: Phase | None = None) -> dict[str, Any]:
    """Frames per second of each phase, and of all of them together as the clock on the wall saw it.

    Args:
        phases: by name, of `PHASES`; what is left out is "not run".
        overall: from the first frame asked for to the last result.
    """
    named = {**phases, **({} if overall is None else {"overall": overall})}
    return {name: _rate(phase) for name, phase in named.items()}


def latency_section(estimate: Mapping[str, Any], clock_mhz: float) -> dict[str, Any]:
    """Latency and frame rate of the core, from the estimate that `fdht convert` wrote.

    Args:
        estimate: content of `estimate.json`, `cycles_per_frame` at least.
        clock_mhz: the clock to hold it against.
    """
    cycles, fill = estimate["cycles_per_frame"], estimate.get("fill_latency_cycles")
    return {
        **estimate,
        "kind": estimate.get("kind", "estimated"),
        "clock_mhz": clock_mhz,
        "frames_per_second": clock_mhz * 1e6 / cycles,
        "frame_microseconds": cycles / clock_mhz,
        "result_microseconds": None if fill is None else fill / clock_mhz,
    }


def build_report(
    *,
    experiment: str,
    board: Mapping[str, Any],
    sources: Sequence[Mapping[str, Any]] = (),
    clips: Sequence[Mapping[str, Any]] = (),
    left_out: Mapping[str, str] | None = None,
    failures: Sequence[Mapping[str, str]] = (),
    **sections: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Returns the content of `report.json`; what is None or left out becomes "not run".

    Args:
        experiment: its name.
        board: `name`, `title` and `simulated`, and what else is to be shown of it.
        sources: what was run, `SourceRun.to_json()` each.
        clips: the answer to each of their clips, `ClipAnswer.to_json()` each.
        left_out: why something is not there that others found out, by section; a section that
            cannot be true, or that JSON cannot hold, comes to it.
        failures: what ended the run or a part of it, in order: each `part` and `reason`.
        **sections: by name; what is None or left out is "not run":

            accuracy: shares of 1: `quantized`, `float`, `chance`, `single_frame`; `clips`; for the
                confusion matrix `classes`, `confusion` (rows: truth, columns: prediction, counts).
            equality: for each of `PAIRS`, `compared` and `mismatches`.
            parameters: `lstm`, `dense_lstm`; also `head`, `constants` (that the chip holds).
            latency: from `latency_section`.
            throughput: from `throughput_section`.
            energy: `EnergyResult.to_json()` of the board.
            cpu_energy: the same of the host's CPU that runs the reference.
            video: the first file that is a video: `file`, `frames`, `inputs` of the network,
                `predictions` (each `start`, `inputs`, `predicted`, and `label` where it is known);
                also `correct`, `labelled`, `seconds`.
            provenance: versions, digests, seeds, times: anything JSON-able.

    Raises:
        ArtifactError: a value of the clips, the sources or the board that cannot be true or that
            JSON cannot hold.
    """
    if unknown := sections.keys() - _REQUIRED.keys():
        raise TypeError(f"no section of a report: {', '.join(sorted(unknown))}")
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "experiment": experiment,
        "board": plain(board, "board"),
        "run_on_hardware": False,
        "sources": plain(sources, "sources"),
        "clips": plain(clips, "clips"),
        "left_out": plain(left_out or {}, "left_out"),
        "failures": plain(failures, "failures"),
    }
    for name in _REQUIRED:
        report[name] = _sound_section(name, sections.get(name) or {}, report["left_out"])
    if board["simulated"]:
        _name_the_simulation(report["throughput"])
    ran = report["throughput"]["compute"]["frames_per_second"] is not None
    ran = ran or report["equality"]["reference_board"]["compared"] is not None
    report["run_on_hardware"] = ran and not board["simulated"]
    validate(report)
    return report


def with_energy(report: Mapping[str, Any], energy: Mapping[str, Any]) -> dict[str, Any]:
    """A report with the board's energy in place of what it said of that.

    Args:
        report: the content of a report.json.
        energy: `EnergyResult.to_json()`.

    Raises:
        ArtifactError: the report lacks a key, or holds a value that cannot be true.
    """
    left_out = {name: why for name, why in report["left_out"].items() if name != "energy"}
    section = _sound_section("energy", energy, left_out)
    found = {**report, "energy": section, "left_out": left_out}
    validate(found)
    return found


def validate(report: Mapping[str, Any]) -> None:
    """Checks that a report holds every required key, with values that can be true.

    Raises:
        ArtifactError: the first one that does not, by its dotted path.
    """
    for key in ("schema", "experiment", "board", "run_on_hardware"):
        _present(report, key, "")
    for key in ("name", "title", "simulated"):
        _present(report["board"], key, "board.")
    for name, keys in _REQUIRED.items():
        section = _present(report, name, "")
        for key in ("status", *keys):
            value = _present(section, key, f"{name}.")
            for part in _PARTS.get(name, ()) if key != "status" else ():
                _present(value, part, f"{name}.{key}.")
        _check_section(name, section)
    for place, source in enumerate(_present(report, "sources", "")):
        if source["accuracy"] is not None:
            _check_confusion(f"sources[{place}].accuracy", source["accuracy"])
    for place, clip in enumerate(_present(report, "clips", "")):
        read_record(ClipAnswer, clip, source=f"report.json: clips[{place}]", error=ArtifactError)


def plain(value: Any, path: str) -> Any:
    """Makes NumPy values, tuples and paths plain, so that JSON can hold them.

    Raises:
        ArtifactError: something that JSON cannot hold, NaN and infinity among it.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        # Names of files may hold bytes that are no text, and no page could be written with them.
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), path)
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item, f"{path}[{index}]") for index, item in enumerate(items)]
    if isinstance(value, np.generic):
        return plain(value.item(), path)
    if isinstance(value, PurePath):
        return plain(str(value), path)
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise _invalid(path, value, "cannot be held by JSON")


def _name_the_simulation(throughput: Mapping[str, Any]) -> None:
    """A reader must not take the time of a simulation for that of the core."""
    notes = {
        "compute": "the C simulation in place of the core",
        "overall": "with the C simulation in place of the core",
    }
    for name, note in notes.items():
        if throughput[name]["kind"] != "not run":
            told = (throughput[name].get("note"), note)
            throughput[name]["note"] = ", ".join(part for part in told if part)


def _rate(phase: Phase) -> dict[str, Any]:
    ran = phase.frames > 0 and phase.seconds > 0
    return {
        "frames_per_second": phase.frames / phase.seconds if ran else None,
        "seconds_per_frame": phase.seconds / phase.frames if ran else None,
        "seconds": phase.seconds,
        "frames": phase.frames,
        "kind": phase.kind if ran else "not run",
        "note": phase.note,
    }


def _sound_section(name: str, given: Mapping[str, Any], left_out: dict[str, str]) -> dict[str, Any]:
    """A section; one that is wrong takes no other with it, but is left out with the reason."""
    try:
        section = _section(name, plain(given, name))
        _check_section(name, section)
    except ArtifactError as error:
        left_out[name] = str(error)
        return _section(name, {})
    return section


def _section(name: str, given: dict[str, Any]) -> dict[str, Any]:
    section: dict[str, Any] = {key: given.get(key) for key in _REQUIRED[name]} | given
    parts = _PARTS.get(name, ())
    for key in _REQUIRED[name] if parts else ():
        section[key] = dict.fromkeys(parts) | (section[key] or {})
        if "kind" in parts and section[key]["kind"] is None:
            section[key]["kind"] = "not run"
    known = [_known(section[key], parts) for key in _REQUIRED[name]]
    # What refuses to give a figure, or has none to give, did run.
    ran = any(known) if known else bool(given)
    section["status"] = ("done" if all(known) else "partial") if ran else "not run"
    if name != "provenance" and name != "throughput":
        kind = section.get("kind") or _KIND_IF_RUN.get(name, "measured")
        section["kind"] = kind if ran else "not run"
    if section.get("kind") in ("unmeasured", "refused"):
        section["status"] = "done"
    return section


def _known(value: Any, parts: tuple[str, ...]) -> bool:
    return value[parts[0]] is not None if parts else value is not None


def _present(section: Any, key: str, path: str) -> Any:
    if not isinstance(section, Mapping) or key not in section:
        raise ArtifactError("is missing", field=f"report.json: {path}{key}")
    return section[key]


def _check_section(name: str, section: Mapping[str, Any]) -> None:
    for path, value in _leaves(section, name):
        _check_value(path, value)
    if name == "equality":
        _check_equality(section)
    if name == "accuracy":
        _check_confusion(name, section)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}")
    else:
        yield path, value


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


# By the end of the dotted path. None, "not run", passes everywhere but for `kind`.
_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **{f"accuracy.{key}": (_share, "must be within 0 and 1") for key in _REQUIRED["accuracy"]},
    **{f"parameters.{key}": (_count, "must be a count") for key in _REQUIRED["parameters"]},
    ".compared": (_count, "must be a count"),
    ".mismatches": (_count, "must be a count"),
    ".frames_per_second": (_positive, "must be positive"),
    ".seconds_per_frame": (_positive, "must be positive"),
    ".uncertainty_mj": (_positive, "must be positive"),
    ".value_mj_per_frame": (_number, "must be a number"),
    ".net_mj_per_frame": (_number, "must be a number"),
}


def _check_value(path: str, value: Any) -> None:
    if path.endswith(".kind") and path.split(".")[0] in _REQUIRED and value not in KINDS:
        raise _invalid(path, value, "must be one of " + ", ".join(KINDS))
    for end, (check, problem) in _CHECKS.items():
        if path.endswith(end) and value is not None and not check(value):
            raise _invalid(path, value, problem)


def _check_equality(equality: Mapping[str, Any]) -> None:
    for pair in PAIRS:
        compared, mismatches = equality[pair]["compared"], equality[pair]["mismatches"]
        if compared == 0:
            raise _invalid(f"equality.{pair}.compared", 0, "nothing compared proves nothing")
        if (compared is None) != (mismatches is None) or (mismatches or 0) > (compared or 0):
            raise _invalid(f"equality.{pair}.mismatches", mismatches, f"of {compared} compared")


def _check_confusion(path: str, accuracy: Mapping[str, Any]) -> None:
    confusion, classes = accuracy.get("confusion"), accuracy.get("classes")
    if confusion is None:
        return
    size = len(classes or ())
    rows_fit = len(confusion) == size and all(len(row) == size for row in confusion)
    if not rows_fit or not all(_count(value) for row in confusion for value in row):
        raise _invalid(
            f"{path}.confusion", f"{len(confusion)} rows", f"must be counts of {size} x {size}"
        )


def _invalid(path: str, value: Any, problem: str) -> ArtifactError:
    return ArtifactError(problem, field=f"report.json: {path}", value=value)
