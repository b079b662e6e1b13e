"""Renders `report.html`: one file, no network, everything escaped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fdht_host.report.contents import PAIRS, PHASES, validate
from fdht_host.report.plots import LABELLED, drawn_plots
from fdht_models.artifacts import write_json, write_text
from fdht_models.directories import REPORT
from fdht_models.rendering import templates
from fdht_models.training.comparison import verdict

_PAIR_TITLES = {
    "keras_reference": "Keras = integer reference",
    "reference_csim": "integer reference = C simulation",
    "reference_board": "integer reference = board",
}
#: What stands for a value that there is none of.
NOT_RUN = "not run"
#: Rows of the page at most, which says where the others are: of clips, blocks of a clip, clips
#: whose blocks are shown, classes of a source, labelled sources, and files that cannot be used.
MOST = {
    "clips": 200,
    "blocks": 40,
    "several": 5,
    "classes": 101,
    "labelled": LABELLED,
    "problems": 20,
}
_TEMPLATES = Path(__file__).parent.parent / "templates"
#: In place of a page.
_UNMADE = Markup(
    "<!doctype html>\n<title>Report</title>\n<p>The page could not be made ({}). "
    "All figures are in report.json.</p>\n"
)
#: What people call the sections of which something may be left out.
_LEFT_OUT = {
    "accuracy": "Accuracy in training",
    "parameters": "Parameters",
    "equality": "Equality in the conversion",
    "latency": "Estimate of the core",
}


@dataclass(frozen=True)
class Figure:
    """A figure of the page: what it is, its value as text, how it came about."""

    title: str
    value: str
    kind: str
    detail: str = ""
    alarm: bool = False


def write_report(directory: Path, report: Mapping[str, Any]) -> tuple[Path, Path]:
    """Writes `report.json` and `report.html` into a directory.

    A page that cannot be made says why, and `report.json` is there all the same.

    Returns:
        Their paths.

    Raises:
        ArtifactError: the report lacks a key, or cannot be written.
    """
    validate(report)
    files = directory / REPORT, directory / "report.html"
    write_json(files[0], report)
    try:
        page = render(report)
    except Exception as error:  # whatever it is, the figures are worth more than their page
        page = _UNMADE.format(f"{type(error).__name__}: {error}")
    write_text(files[1], page)
    return files


def render(report: Mapping[str, Any]) -> str:
    """Returns the page of a report that `build_report` made."""
    shown = (number, percent, duration, with_uncertainty, clip_name)
    found = templates(_TEMPLATES, html=True, filters=shown)
    return found.get_template("report.html.j2").render(
        report=report,
        board=report["board"],
        headline=_headline(report),
        plots=drawn_plots(report),
        left_out=[
            (_LEFT_OUT.get(name, name), reason)
            for name, reason in (report.get("left_out") or {}).items()
        ],
        failures=report.get("failures") or [],
        accuracy=_accuracy_rows(report["accuracy"]),
        pair_titles=_PAIR_TITLES,
        parameters=_parameter_rows(report["parameters"]),
        latency=_latency_rows(report["latency"]),
        phases=(*PHASES, "overall"),
        components=_components(report["energy"]),
        answers=_answers(report),
        most=MOST,
        origins=_origins(report),
        provenance=list(_flat(report["provenance"], "")),
    )


# Sections -----------------------------------------------------------------------------------------


def _headline(report: Mapping[str, Any]) -> list[Figure]:
    accuracy, equality, parameters = report["accuracy"], report["equality"], report["parameters"]
    compared = [equality[pair]["compared"] for pair in PAIRS]
    mismatches = [equality[pair]["mismatches"] for pair in PAIRS]
    done = [value for value in compared if value is not None]
    overall = report["throughput"]["overall"]
    cards = [
        Figure(
            "Accuracy, quantised",
            percent(accuracy["quantized"]),
            accuracy["kind"],
            _clips_and_baseline(accuracy),
        ),
        Figure(
            "Integers that differ",
            f"{sum(value or 0 for value in mismatches):,} of {sum(done):,}" if done else NOT_RUN,
            equality["kind"],
            f"{len(done)} of {len(PAIRS)} comparisons run",
            alarm=any(mismatches),
        ),
        Figure(
            "Parameters of the LSTM",
            number(parameters["lstm"]),
            parameters["kind"],
            _ratio(parameters),
        ),
        Figure(
            "The core's pace",
            number(report["latency"]["frames_per_second"], "frames/s"),
            report["latency"]["kind"],
            f"at a clock of {number(report['latency']['clock_mhz'], 'MHz')}",
        ),
        Figure(
            "Host path, all phases",
            number(overall["frames_per_second"], "frames/s"),
            overall["kind"],
            overall.get("note", ""),
        ),
        _energy_figure(report["energy"]),
    ]
    # Nothing to say about what was not run.
    return [card if card.kind != NOT_RUN else replace(card, detail="") for card in cards]


def _energy_figure(energy: Mapping[str, Any]) -> Figure:
    value = energy["value_mj_per_frame"]
    text = with_uncertainty(value, energy["uncertainty_mj"], "mJ")
    net = energy["net_mj_per_frame"]
    detail = (
        ""
        if net is None
        else "of it for the frames alone "
        + with_uncertainty(net, energy.get("net_uncertainty_mj"), "mJ")
    )
    if energy.get("gain_mj"):
        detail += f"; the sensor's gain changes all by {number(energy['gain_mj'], 'mJ')} at most"
    kind = energy["kind"]
    return Figure("Energy a frame", kind if value is None else text, kind, detail)


def _ratio(parameters: Mapping[str, Any]) -> str:
    lstm, dense = parameters["lstm"], parameters["dense_lstm"]
    if not lstm or not dense:
        return ""
    return f"a dense LSTM has {dense:,}: {number(dense / lstm)} times as many"


def _clips_and_baseline(accuracy: Mapping[str, Any]) -> str:
    """A run's own accuracy may be of fewer clips than that of the best baseline in training."""
    clips, chance = accuracy.get("clips"), f"chance: {percent(accuracy['chance'])}"
    of = f"{clips:,} test clips of this run, " if clips else ""
    return f"{of}{chance}; in training, {_best_baseline(accuracy)}"


def _best_baseline(accuracy: Mapping[str, Any]) -> str:
    table = accuracy.get("baselines")
    if not table:
        return f"best single frame: {percent(accuracy['single_frame'])}"
    best = max(table, key=lambda row: float(row["accuracy"]))
    return f"best baseline, {best['name']}: {percent(best['accuracy'])}"


def _accuracy_rows(accuracy: Mapping[str, Any]) -> list[tuple[str, str]]:
    """With training's table, and its verdict; models trained before it was there have less."""
    clips = accuracy.get("clips")
    networks = [
        (
            f"Quantised network{f', {clips:,} test clips of this run' if clips else ''}",
            percent(accuracy["quantized"]),
        ),
        ("The same network in floating point, in training", percent(accuracy["float"])),
    ]
    table = accuracy.get("baselines")
    if not table:
        mean = accuracy.get("mean_frame")
        return [
            *networks,
            ("Best baseline that sees single frames", percent(accuracy["single_frame"])),
            *([] if mean is None else [("Baseline that sees the mean over a clip", percent(mean))]),
            ("Chance: always the test clips' largest class", percent(accuracy["chance"])),
        ]
    rows = networks + [
        (f"Baseline in training, {row['name']}: {row['classifier']}", percent(row["accuracy"]))
        for row in sorted(table, key=lambda row: -row["accuracy"])
    ]
    left_out = accuracy.get("left_out") or {}
    rows += [(f"Baseline, {name}", f"left out: {why}") for name, why in left_out.items()]
    comparison = accuracy.get("comparison")
    return rows + ([] if comparison is None else [("In training", verdict(comparison))])


def _parameter_rows(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    lstm, dense = parameters["lstm"], parameters["dense_lstm"]
    rows = [
        ("Tensor-decomposed LSTM", number(lstm)),
        ("Dense LSTM of the same size", number(dense)),
    ]
    if lstm and dense:
        rows.append(("Dense / decomposed", number(dense / lstm)))
    known = {"head": "Classifier head", "constants": "Constants that the chip holds"}
    rows += [(title, number(parameters[key])) for key, title in known.items() if key in parameters]
    return rows


def _latency_rows(latency: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("Clock", number(latency["clock_mhz"], "MHz")),
        ("Cycles a frame", number(latency["cycles_per_frame"])),
        ("Frames a second", number(latency["frames_per_second"])),
        ("Last word in to result out", number(latency["result_microseconds"], "µs")),
    ]
    if latency.get("limited_by"):
        rows.append(("Limited by", str(latency["limited_by"])))
    if (sparse := latency.get("sparse")) is not None:
        kind = sparse["kind"]
        rows += [
            ("Words of a full frame", number(sparse["words_of_a_full_frame"])),
            ("Words of a frame that was run, on average", number(sparse["words_per_frame"])),
            (f"Cycles of such a frame ({kind})", number(sparse["cycles_per_frame"])),
            (f"Multipliers at work ({kind})", percent(sparse["activity"])),
        ]
    return rows


def _components(energy: Mapping[str, Any]) -> list[tuple[str, str]]:
    titles = {
        "net_uncertainty_mj": "95 % interval of the net energy, its larger half",
        "step_mj": "of it by the steps of the sensor",
        "net_gain_mj": "beside it, by the gain of the sensor, at most",
    }
    return [
        (title, number(energy[name], "mJ"))
        for name, title in titles.items()
        if energy.get(name) is not None
    ]


def _answers(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of `sources` and `clips`; the test set has a section of its own."""
    sources = [source for source in report["sources"] if source["kind"] != "test"]
    names = {source["source"] for source in sources}
    clips = [clip for clip in report["clips"] if clip["source"] in names]
    return {
        "clips": clips,
        "several": [clip for clip in clips if len(clip["blocks"]) > 1],
        "labelled": [source for source in sources if source["accuracy"] is not None],
        "notes": dict.fromkeys(note for source in sources for note in source["notes"]),
        "problems": [problem for source in sources for problem in source["problems"]],
    }


# How each figure came about -----------------------------------------------------------------------


def _origins(report: Mapping[str, Any]) -> list[Figure]:
    simulated = report["board"]["simulated"]
    board = "the simulated board (C simulation)" if simulated else report["board"]["title"]
    accuracy, latency = report["accuracy"], report["latency"]
    clips = accuracy.get("clips")
    rows = [
        Figure(
            "Accuracy",
            percent(accuracy["quantized"]),
            accuracy["kind"],
            accuracy.get("how")
            or (f"{clips:,} " if clips else "") + "test clips, evaluated in this run",
        ),
        *(
            Figure(
                f"Equality: {_PAIR_TITLES[pair]}",
                number(report["equality"][pair]["mismatches"]),
                report["equality"]["kind"] if report["equality"][pair]["compared"] else NOT_RUN,
                "output integers compared one by one"
                + (f"; the board is {board}" if pair == "reference_board" else ""),
            )
            for pair in PAIRS
        ),
        Figure(
            "Parameters",
            number(report["parameters"]["lstm"]),
            report["parameters"]["kind"],
            "counted in the network that was run",
        ),
        Figure(
            "Cycles, frame rate and latency of the core",
            number(latency["cycles_per_frame"], "cycles"),
            latency["kind"],
            latency.get("how") or "from the loops of the core and the clock, not from a run",
        ),
        *_throughput_origins(report),
        *(
            Figure(title, number(report[name]["value_mj_per_frame"], "mJ"), report[name]["kind"],
                   report[name]["explanation"] or "")
            for name, title in (("energy", "Energy, board"), ("cpu_energy", "Energy, host CPU"))
        ),
    ]  # fmt: skip
    return [replace(row, value="—") if row.value == NOT_RUN else row for row in rows]


def _throughput_origins(report: Mapping[str, Any]) -> Iterator[Figure]:
    for name in (*PHASES, "overall"):
        phase = report["throughput"][name]
        yield Figure(
            f"Host path: {name}",
            number(phase["frames_per_second"], "frames/s"),
            phase["kind"],
            phase.get("note") or "time of the machine that ran this",
        )


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if path or key != "status":
                yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield path, ", ".join(str(item) for item in value)
    else:
        yield path, str(value)


# Figures as text ----------------------------------------------------------------------------------


def clip_name(clip: Mapping[str, Any]) -> str:
    """What people call a clip: its file, and the frame at which it begins if that holds several."""
    return clip["clip"] if clip["start"] is None else f"{clip['clip']} from frame {clip['start']}"


def percent(share: float | None) -> str:
    """0.9123 -> 91.2 %."""
    return NOT_RUN if share is None else f"{100 * share:.1f} %"


def number(value: float | None, unit: str = "", digits: int = 3) -> str:
    """Three significant digits, thousands apart; integers as they are."""
    if value is None:
        return NOT_RUN
    if isinstance(value, int):
        text = f"{value:,}"
    elif value == 0 or 1e-3 <= abs(value) < 1e6:
        decimals = 0 if value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{decimals}f}"
    else:
        text = f"{value:.{digits}g}"
    return f"{text} {unit}".strip()


def with_uncertainty(value: float | None, uncertainty: float | None, unit: str) -> str:
    """Two significant digits of the uncertainty, and the value to the same place."""
    if value is None:
        return NOT_RUN
    if not uncertainty:
        return number(value, unit)
    decimals = max(0, 1 - math.floor(math.log10(uncertainty)))
    return f"{value:,.{decimals}f} ± {uncertainty:,.{decimals}f} {unit}"


def duration(seconds: float | None) -> str:
    """In milliseconds, or microseconds below 0.1 ms."""
    if seconds is None:
        return NOT_RUN
    return number(1e3 * seconds, "ms") if seconds >= 1e-4 else number(1e6 * seconds, "µs")
