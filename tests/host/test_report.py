"""The report: nothing invented, nothing missing, everything escaped, one file."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht_host.report import plots
from fdht_host.report.contents import (
    PAIRS,
    PHASES,
    Phase,
    build_report,
    latency_section,
    throughput_section,
    validate,
)
from fdht_host.report.html import duration, number, percent, render, with_uncertainty, write_report
from fdht_models.errors import ArtifactError
from tests import stage_files
from tests.host.sample_answers import answer, source_of

SIMULATED = {"name": "sim", "title": "Simulated PYNQ-Z2", "simulated": True}
REAL = {"name": "zcu104", "title": "AMD ZCU104", "simulated": False}
ESTIMATE = {
    "kind": "estimated",
    "cycles_per_frame": 8000,
    "recurrent_latency_cycles": 300,
    "fill_latency_cycles": 1200,
    "limited_by": "memory port",
    "stages": [],
}


#: Two clips of one class each, both taken for "left"; one of three blocks.
ANSWERS = [
    answer("a/1.mp4", "left", (64, 0), (0, 64), (128, 0)),
    answer("b/<2>.mp4", "right", (64, 0), damage="ends early"),
]


def energy(kind: str = "modelled") -> dict[str, Any]:
    windows = [
        {"kind": state, "start_seconds": k, "end_seconds": k + 0.8, "frames": k % 2, "watts": 2.0}
        for k, state in enumerate(["idle", "active"] * 5)
    ]
    return {
        "value_mj_per_frame": 2.4,
        "net_mj_per_frame": 0.4,
        "uncertainty_mj": 0.02,
        "net_uncertainty_mj": 0.017,
        "kind": kind,
        "explanation": "Readings of a model.",
        "sensor": "model",
        "sensor_details": {"kind": kind},
        "idle_watts": 2.0,
        "active_watts": 2.4,
        "step_mj": 0.003,
        "net_gain_mj": 0.008,
        "windows": windows,
        "trace": {"seconds": list(np.arange(0, 10, 0.1)), "watts": [2.2] * 100},
    }


def sections() -> dict[str, Any]:
    return {
        "accuracy": {
            "quantized": np.float64(0.913),
            "float": 0.921,
            "chance": 0.5,
            "single_frame": 0.55,
            "clips": 1000,
            "classes": ("left", "right"),
            "confusion": np.array([[480, 20], [67, 433]]),
        },
        "equality": {pair: {"compared": 11000, "mismatches": 0} for pair in PAIRS},
        "parameters": {"lstm": 7883, "dense_lstm": 29_557_248},
        "latency": latency_section(ESTIMATE, 100.0),
        "throughput": throughput_section(
            {name: Phase(0.5, 1000) for name in PHASES}, Phase(4.0, 1000)
        ),
        "energy": energy(),
        "cpu_energy": {"kind": "unmeasured", "explanation": "no RAPL here"},
        "video": {
            "file": Path("clips.mkv"),
            "frames": 18,
            "labelled": 2,
            "correct": 1,
            "predictions": [
                {"start": 0, "inputs": 9, "label": "left", "predicted": "left"},
                {"start": 9, "inputs": 9, "label": "right", "predicted": "left"},
            ],
        },
        "provenance": {"versions": {"numpy": "1.26.4"}, "seed": 1},
        "sources": [source_of(ANSWERS)],
        "clips": [one.to_json() for one in ANSWERS],
    }


def full(board: Mapping[str, Any] = SIMULATED, **changes: Any) -> dict[str, Any]:
    return build_report(experiment="demo", board=board, **{**sections(), **changes})


def statuses(report: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: section["status"]
        for name, section in report.items()
        if isinstance(section, Mapping) and "status" in section
    }


def dig(report: Mapping[str, Any], path: str) -> Any:
    value: Any = report
    for key in path.split("."):
        value = value[int(key) if key.isdigit() else key]
    return value


class Page(HTMLParser):
    """Checks nesting, gathers text, ids, tags and attributes."""

    VOID = frozenset({"meta", "br", "link", "img", "path", "use", "rect", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.pieces: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "srcset", "action"):
                self.links.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.pieces.append(data)


@pytest.fixture(scope="module")
def rendered() -> str:
    """The page of a whole run on the simulated board."""
    return render(full())


# report.json --------------------------------------------------------------------------------------


def test_every_required_key_is_there(tmp_path: Path) -> None:
    written, _ = write_report(tmp_path, full())
    report = json.loads(written.read_text())
    for path in ("quantized", "float", "chance", "single_frame"):
        assert 0 < dig(report, f"accuracy.{path}") < 1
    for pair in PAIRS:
        assert dig(report, f"equality.{pair}") == {"compared": 11000, "mismatches": 0}
    assert dig(report, "parameters.lstm") == 7883
    assert dig(report, "parameters.dense_lstm") == 29_557_248
    assert dig(report, "energy.kind") == "modelled"
    assert dig(report, "energy.value_mj_per_frame") == 2.4
    for name in (*PHASES, "overall"):
        assert dig(report, f"throughput.{name}.frames_per_second") > 0
        assert dig(report, f"throughput.{name}.kind") == "measured"
    assert dig(report, "latency.kind") == "estimated"
    assert dig(report, "video.file") == "clips.mkv"
    assert report["run_on_hardware"] is False
    assert set(statuses(report).values()) == {"done"}


def test_what_was_not_run_is_none_and_says_so() -> None:
    report = build_report(experiment="demo", board=REAL)
    assert set(statuses(report).values()) == {"not run"}
    assert report["accuracy"]["quantized"] is None
    assert report["accuracy"]["kind"] == "not run"
    assert report["energy"]["kind"] == "not run"
    assert report["equality"]["reference_board"] == {"compared": None, "mismatches": None}
    assert report["throughput"]["decode"]["kind"] == "not run"
    assert report["run_on_hardware"] is False
    json.dumps(report, allow_nan=False)


def test_parts_that_were_not_run() -> None:
    report = full(
        accuracy={"quantized": 0.9, "chance": 0.1},
        equality={"keras_reference": {"compared": 10, "mismatches": 0}},
        throughput=throughput_section({"pack": Phase(1.0, 10), "decode": Phase(0.0, 0)}),
    )
    assert statuses(report)["accuracy"] == "partial"
    assert statuses(report)["equality"] == "partial"
    assert statuses(report)["throughput"] == "partial"
    assert report["throughput"]["decode"]["kind"] == "not run"
    assert report["throughput"]["pack"]["frames_per_second"] == 10


def test_no_energy_is_a_result_of_its_own() -> None:
    report = full(energy={"kind": "refused", "explanation": "within the noise"})
    assert report["energy"]["kind"] == "refused"
    assert report["energy"]["value_mj_per_frame"] is None
    assert statuses(report)["energy"] == "done"


def test_run_on_hardware_needs_a_board_and_a_run() -> None:
    assert full(REAL)["run_on_hardware"] is True
    assert full(SIMULATED)["run_on_hardware"] is False
    assert full(REAL, throughput=None, equality=None)["run_on_hardware"] is False


def test_the_time_of_a_simulation_is_called_so() -> None:
    assert "C simulation" in full(SIMULATED)["throughput"]["compute"]["note"]
    assert "C simulation" in full(SIMULATED)["throughput"]["overall"]["note"]
    assert full(REAL)["throughput"]["compute"]["note"] == ""
    nothing = build_report(experiment="demo", board=SIMULATED)
    assert nothing["throughput"]["compute"].get("note") is None


def test_latency_from_the_estimate() -> None:
    latency = latency_section(ESTIMATE, 200.0)
    assert latency["frames_per_second"] == 25_000
    assert latency["frame_microseconds"] == 40
    assert latency["result_microseconds"] == 6
    assert latency["limited_by"] == "memory port"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("accuracy.quantized", 91.3),
        ("accuracy.chance", -0.1),
        ("accuracy.float", "high"),
        ("parameters.lstm", 7.5),
        ("equality.reference_csim.mismatches", 11001),
        ("equality.reference_csim.mismatches", None),
        ("equality.reference_board.compared", 0),
        ("throughput.pack.frames_per_second", 0),
        ("throughput.pack.kind", "guessed"),
        ("energy.kind", "real"),
        ("energy.uncertainty_mj", -1.0),
        ("accuracy.confusion", [[1, 2]]),
        ("accuracy.confusion", [[1, 2], [3, -4]]),
        ("sources.0.accuracy.confusion", [[1, 2]]),
        ("clips.0.mismatches", 19),
        ("clips.0.probability", 1.5),
        ("clips.0.label", 3),
        ("clips.0.blocks", []),
    ],
)
def test_values_that_cannot_be_true_are_refused(path: str, value: Any) -> None:
    changed = copy.deepcopy(full())
    *parents, key = path.split(".")
    dig(changed, ".".join(parents))[key] = value
    with pytest.raises(ArtifactError, match=rf"report\.json: {path.split('.')[0]}") as error:
        validate(changed)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "path", ["accuracy.quantized", "energy", "equality.reference_board.compared", "board.title"]
)
def test_a_missing_key_is_refused_by_name(tmp_path: Path, path: str) -> None:
    changed = full()
    *parents, key = path.split(".")
    del (dig(changed, ".".join(parents)) if parents else changed)[key]
    with pytest.raises(ArtifactError, match=rf"report\.json: {path}: is missing"):
        write_report(tmp_path, changed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes"])
def test_values_that_json_cannot_hold(value: object) -> None:
    report = full(provenance={"made": [1, value]})
    assert report["left_out"]["provenance"].startswith("report.json: provenance.made[1]")
    assert report["provenance"] == {"status": "not run"}


# report.html --------------------------------------------------------------------------------------


def test_the_page_shows_the_figures(rendered: str) -> None:
    page = Page(rendered)
    for expected in (
        "91.3 %", "92.1 %", "1,000 test clips of this run, chance: 50.0 %",
        "0 of 33,000", "7,883", "29,557,248", "12,500 frames/s",
        "2.400 ± 0.020 mJ", "0.400 ± 0.017 mJ", "no RAPL here", "1 of 2 clips right",
        "Not run on hardware", "versions.numpy", "memory port", "1,000 test clips",
        "clips : 50.0 %", "2 of 3", "10 of 40", "b/<2>.mp4", "ends early", "left (1)",
    ):  # fmt: skip
        assert expected in page.text, expected
    assert "DIFFERENT" not in page.text
    assert {"svg", "table"} <= page.tags


def test_the_page_has_the_baseline_of_the_mean_where_it_was_measured(rendered: str) -> None:
    assert "the mean over a clip" not in rendered
    section = {**sections()["accuracy"], "mean_frame": 0.613}
    page = render(full(accuracy=section))
    assert "Baseline that sees the mean over a clip" in page and "61.3" in page


def test_the_page_has_the_table_of_baselines_and_the_plain_word() -> None:
    accuracy = {**sections()["accuracy"], **stage_files.metrics()["accuracy"]}
    accuracy["baselines"].append({"name": "all frames", "classifier": "<b>", "accuracy": 0.613})
    page = Page(render(full(accuracy=accuracy)))
    for expected in (
        "Baseline in training, all frames: <b>", "61.3 %", "best baseline, all frames: 61.3 %",
        "Baseline in training, largest class: always 'left'", "left out: a file is damaged",
        "NOT better than largest class, which needs no memory: difference 25.0 points",
    ):  # fmt: skip
        assert expected in page.text, expected
    assert "Best baseline that sees single frames" not in page.text


def test_bars_tell_the_figures_of_a_run_from_those_of_training() -> None:
    report = full()
    clips = report["accuracy"]["clips"]
    label, note = f"quantised, {clips:,} clips of this run", "(others: in training)"
    drawn = render(report)
    assert label in drawn and note in drawn
    # Without clips of its own, all figures are training's.
    report["accuracy"]["clips"] = None
    drawn = render(report)
    assert "clips of this run" not in drawn and note not in drawn


def test_the_page_is_one_file_without_network(rendered: str) -> None:
    text, page = rendered, Page(rendered)
    assert "http" not in text
    assert "@import" not in text
    assert not page.tags & {"script", "link", "iframe", "img"}
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    for reference in re.findall(r"url\(([^)]*)\)", text):
        assert reference[0] == "#"
        assert reference[1:] in page.ids


def test_ids_are_unique_although_the_plots_come_apart() -> None:
    report = full(cpu_energy=energy("measured"))
    ids = Page(render(report)).ids
    assert len(ids) == len(set(ids))
    assert any(name.startswith("cpu_energy-") for name in ids)


def test_plots_follow_the_colours_of_the_page(rendered: str) -> None:
    assert "#010203" not in rendered
    for plot in (
        plots.throughput_plot([("pack", 0.001, "measured")]),
        plots.power_plot(energy()["trace"], energy()["windows"], "modelled"),
    ):
        assert "currentColor" in plot
        assert not re.search(r"#(fff|000)", plot)


def test_the_same_report_gives_the_same_page(rendered: str) -> None:
    assert render(full()) == rendered


def test_everything_is_escaped() -> None:
    evil = "<script>alert('&')</script>"
    report = build_report(
        experiment=evil,
        board={**SIMULATED, "title": evil},
        **{
            **sections(),
            "accuracy": {**sections()["accuracy"], "classes": [evil, "b"]},
            "energy": {**energy(), "explanation": evil},
            "video": {
                "file": evil,
                "frames": 9,
                "predictions": [{"start": 0, "inputs": 9, "predicted": evil, "label": evil}],
            },
            "provenance": {evil: evil},
        },
    )
    text = render(report)
    assert "<script" not in text
    assert evil in Page(text).text


def test_names_are_no_mathematics() -> None:
    """matplotlib would read what is between two dollar signs, and fail where it is none."""
    classes = ["$x_{$", r"\$a$$\frac", "<b>$</b>", "line\nbreak", "_^{}%&~#"]
    accuracy = {
        **sections()["accuracy"],
        "classes": classes,
        "confusion": np.eye(5, dtype=int).tolist(),
    }
    report = build_report(
        experiment="$e^{$", board=SIMULATED, **{**sections(), "accuracy": accuracy}
    )
    text = render(report)
    assert "could not be drawn" not in text
    # matplotlib notes each text that it draws in a comment: as it is.
    assert "<!-- $x_{$ -->" in text


def test_a_figure_that_cannot_be_drawn_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> str:
        raise ValueError("no <room>")

    monkeypatch.setattr(plots, "confusion_plot", fails)
    text = render(build_report(experiment="demo", board=SIMULATED, **sections()))
    assert "The figure confusion could not be drawn (ValueError: no &lt;room&gt;)" in text
    assert 'aria-label="Accuracy: bars"' in text


def test_a_page_that_cannot_be_made_leaves_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("no page")

    monkeypatch.setattr("fdht_host.report.html.render", fails)
    report = build_report(experiment="demo", board=SIMULATED, **sections())
    data, page = write_report(tmp_path, report)
    assert json.loads(data.read_text()) == report
    assert "ValueError: no page" in page.read_text()


def test_what_was_left_out_and_what_failed_is_told() -> None:
    report = build_report(
        experiment="demo",
        board=SIMULATED,
        **sections(),
        left_out={"accuracy": "of <another> network"},
        failures=[{"part": "v.mkv", "reason": "is damaged"}],
    )
    page = Page(render(report))
    assert "of <another> network" in page.text
    assert "v.mkv" in page.text
    assert "is damaged" in page.text


def test_bytes_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    clips = [answer("a\udcff.mkv", None, (1, 0)).to_json()]
    report = build_report(experiment="demo", board=SIMULATED, **{**sections(), "clips": clips})
    assert "a\\udcff.mkv" in write_report(tmp_path, report)[1].read_text()


def test_a_section_that_is_wrong_takes_no_other_with_it() -> None:
    given = {**sections(), "accuracy": {"quantized": 7.0}}
    report, good = build_report(experiment="demo", board=SIMULATED, **given), full()
    assert report["left_out"] == {
        "accuracy": "report.json: accuracy.quantized = 7.0: must be within 0 and 1"
    }
    assert report["accuracy"]["status"] == "not run"
    assert {name for name in good if report[name] != good[name]} == {"accuracy", "left_out"}


def test_a_section_that_no_report_has_is_not_dropped() -> None:
    with pytest.raises(TypeError, match="no section of a report: accurracy"):
        full(accurracy={"quantized": 0.9})


def test_a_page_of_a_run_that_did_nothing() -> None:
    page = Page(render(build_report(experiment="demo", board=REAL)))
    assert "svg" not in page.tags
    assert "No frame went through this board" in page.text
    assert page.text.count("not run") > 30
    assert "%" not in page.text


def test_a_run_on_a_board_has_no_banner() -> None:
    page = Page(render(full(REAL, energy=energy("measured"))))
    assert "Not run on hardware" not in page.text
    assert "simulated board (C simulation)" not in page.text


def test_a_mismatch_shows() -> None:
    equality = {pair: {"compared": 100, "mismatches": 0} for pair in PAIRS}
    equality["reference_board"]["mismatches"] = 3
    text = render(build_report(experiment="demo", board=SIMULATED, equality=equality))
    assert "3 of 300" in text
    assert "DIFFERENT" in text
    assert 'class="value bad"' in text


def test_many_classes_and_clips() -> None:
    size = 26
    blocks = [(64, 0)] * 100
    many = [answer(f"{k}.mp4", "left", *(blocks if not k else blocks[:1])) for k in range(3000)]
    report = build_report(
        experiment="demo",
        board=SIMULATED,
        accuracy={
            "quantized": 1.0,
            "classes": [f"class {k}" for k in range(size)],
            "confusion": np.eye(size, dtype=int) * 5,
        },
        sources=[source_of(many)],
        clips=[one.to_json() for one in many],
    )
    page = render(report)
    assert "2800 more in report.json and predictions.jsonl" in Page(page).text
    assert "60 more in report.json" in Page(page).text
    # Neither grows with the clips: 3,000 of them, and the first has 100 blocks.
    assert len(page) < 500_000
    assert page.count("<tr>") < 500


def test_the_modelled_power_is_called_modelled_in_its_plot(rendered: str) -> None:
    assert 'aria-label="Power over time, modelled, with its windows"' in rendered
    measured = render(build_report(experiment="demo", board=REAL, energy=energy("measured")))
    assert 'aria-label="Power over time, measured, with its windows"' in measured


# Text ---------------------------------------------------------------------------------------------


def test_numbers_as_text() -> None:
    assert number(1234567) == "1,234,567"
    assert number(1234.567) == "1,235"
    assert number(12.3456, "mJ") == "12.3 mJ"
    assert number(0.0012345) == "0.00123"
    assert number(1.5e-7) == "1.5e-07"
    assert number(0.0) == "0"
    assert number(None, "mJ") == "not run"
    assert percent(0.9126) == "91.3 %"
    assert with_uncertainty(2.40361, 0.0217, "mJ") == "2.404 ± 0.022 mJ"
    assert with_uncertainty(240.361, 21.7, "mJ") == "240 ± 22 mJ"
    assert with_uncertainty(None, None, "mJ") == "not run"
    assert duration(0.0123) == "12.3 ms"
    assert duration(5.45e-6) == "5.45 µs"
