"""Names of modules as the tool makes them, and ours; and what people are shown."""

from __future__ import annotations

import pytest

from fdht_hls.vitis.csynth import read_csynth
from fdht_hls.vitis.report import csynth_json, report_lines, stage_names
from tests.hls.vitis.standin import CYCLES, SAMPLES, STAGES
from tests.models.strategies import build_network

RECURRENCE = build_network().recurrence


def test_the_network_of_the_tests_has_three_stages():
    assert RECURRENCE.input_path.cores == ("C3", "C2", "C1")


def test_modules_get_the_names_of_the_estimate_s_stages():
    assert tuple(stage_names(list(CYCLES), RECURRENCE).values()) == STAGES


@pytest.mark.parametrize(
    ("module", "stage"),
    [
        ("read_frame_of_words_2400u_7200u_array_ap_ufixed_8_8_4_0_0_24u_s", "read frame"),
        ("lstm_cell_collected_array_array_config9_s", "cell"),
        ("cell_config9_array_array_s", "cell"),
        ("cell_collected_array_array_config9_s", "cell"),
        ("write_result", "write result"),
        ("dense_array_array_ap_fixed_32_16_5_3_0_11u_config3_s", "head"),
        ("entry_proc", "entry_proc"),
        ("reader", "reader"),
        ("lstm_cells", "lstm_cells"),
    ],
)
def test_single_modules(module, stage):
    assert stage_names([module], RECURRENCE) == {module: stage}


def test_the_order_is_that_of_the_numbers_and_not_of_the_letters():
    modules = [f"contract_mode_config{number}_s" for number in (10, 9, 11)]
    assert list(stage_names(modules, RECURRENCE).values()) == ["input.C2", "input.C3", "input.C1"]


@pytest.mark.parametrize("numbers", [(5, 6), (5, 6, 7, 8)])
def test_another_number_of_contractions_keeps_the_tool_s_names(numbers):
    modules = [f"contract_mode_config{number}_s" for number in numbers]
    assert list(stage_names(modules, RECURRENCE).values()) == modules


def test_a_contraction_within_the_cell_is_none_of_w_x():
    modules = ["contract_mode_config9_stage1_s", *(f"contract_mode_config{n}_s" for n in (4, 5))]
    names = stage_names(modules, RECURRENCE)
    assert names["contract_mode_config9_stage1_s"] == "contract_mode_config9_stage1_s"


def test_people_are_told_kind_resources_and_a_missed_clock():
    result = csynth_json(read_csynth(SAMPLES / "2022.2_csynth.xml"), RECURRENCE)
    text = "\n".join(report_lines({"csynth": result}))
    assert "24 cycles a frame, limited by layernorm_accumulate  reported by Vitis HLS" in text
    assert "270827 LUT (231%)" in text and "more LUT, DSP, BRAM36 than the device has" in text
    assert "clock                 MISSED: 7.674 ns of 7.300 ns  reported by Vitis HLS" in text


def test_people_are_told_what_is_not_known():
    result = csynth_json(read_csynth(SAMPLES / "2024.1_csynth.xml"), RECURRENCE)
    assert "cycles a frame unknown  reported by Vitis HLS" in report_lines({"csynth": result})[0]
