"""Building the overlay of a simulated board."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.boards import get_board
from fdht_models.artifacts import MANIFEST, digest_file, write_json
from fdht_models.directories import ConversionDirectory, OverlayDirectory
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.experiment import load_experiment
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.bitfile import read_bitfile
from fdht_overlays.golden import GoldenVectors, golden_frames, load_golden, save_golden
from fdht_overlays.manifest import InputLayout, load_manifest
from fdht_overlays.simulated_overlay import build_simulated_overlay
from tests.overlays.sample_network import sample_network, write_hls_stage


def build(hls: Path, overlay: Path, board: str = "sim") -> bool:
    conversion, directory = ConversionDirectory(hls), OverlayDirectory(overlay)
    return build_simulated_overlay(conversion, directory, get_board(board))


@pytest.fixture
def network():
    return sample_network()


@pytest.fixture
def hls(tmp_path, network):
    return write_hls_stage(tmp_path / "hls", network, b"compiled")


@pytest.fixture
def overlay(tmp_path, hls):
    directory = tmp_path / "overlay" / "sim" / "csim"
    assert build_simulated_overlay(
        ConversionDirectory(hls), OverlayDirectory(directory), get_board("sim")
    )
    return directory


def test_it_holds_all_that_the_host_needs(overlay, network):
    names = {path.name for path in overlay.iterdir()}
    assert names == {
        "tiny-net.bit",
        "tiny-net.hwh",
        "csim.so",
        "network.json",
        "golden.npz",
        MANIFEST,
    }
    manifest = load_manifest(overlay)
    assert manifest.design_number == network.design_id
    assert read_bitfile(overlay / manifest.bitstream).simulated_design_id == network.design_id
    assert (manifest.input.size, manifest.input.frame_bytes) == (60, 64)
    assert manifest.input.feature == "motion_energy"
    assert (manifest.results.classes, manifest.results.result_bytes) == (network.classes, 16)
    assert (manifest.cycles_per_frame.cycles, manifest.cycles_per_frame.kind) == (500, "estimated")
    assert manifest.clock_mhz == 100.0
    assert (overlay / "csim.so").read_bytes() == b"compiled"


def test_golden_results_are_the_references(overlay, network):
    golden = load_golden(overlay, load_manifest(overlay))
    np.testing.assert_array_equal(golden.results, ReferenceModel(network).run(golden.frames))


def test_nothing_is_done_when_nothing_changed(overlay, hls):
    before = (overlay / MANIFEST).stat().st_mtime_ns
    assert not build_simulated_overlay(
        ConversionDirectory(hls), OverlayDirectory(overlay), get_board("sim")
    )
    assert (overlay / MANIFEST).stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["network", "library", "damage"])
def test_a_change_builds_again(tmp_path, overlay, hls, network, change):
    if change == "network":
        write_hls_stage(hls, sample_network(seed=6), b"compiled")
    elif change == "library":
        write_hls_stage(hls, network, b"compiled otherwise")
    else:
        (overlay / "tiny-net.hwh").write_text("")
    assert build_simulated_overlay(
        ConversionDirectory(hls), OverlayDirectory(overlay), get_board("sim")
    )
    load_manifest(overlay)


def test_equal_inputs_give_equal_files(tmp_path, overlay, hls):
    other = tmp_path / "again"
    build(hls, other)
    for path in overlay.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_a_recipe_of_an_earlier_version_is_refused_rather_than_called_current(tmp_path, overlay):
    older = load_experiment("motion").to_json()
    del older["data"]["kind"]
    before = (overlay / MANIFEST).read_bytes()
    hls = write_hls_stage(tmp_path / "older", sample_network(), b"compiled")
    manifest = json.loads((hls / MANIFEST).read_text())
    write_json(hls / "experiment.json", older)
    manifest["files"]["experiment.json"] = digest_file(hls / "experiment.json")
    write_json(hls / MANIFEST, manifest)
    with pytest.raises(ArtifactError, match=r"data.kind: is missing.* run fdht train again"):
        build(hls, overlay)
    assert (overlay / MANIFEST).read_bytes() == before


def test_a_real_board_is_refused(tmp_path, hls):
    with pytest.raises(ConfigError, match="board = 'pynq-z2': is a real board"):
        build_simulated_overlay(
            ConversionDirectory(hls), OverlayDirectory(tmp_path / "o"), get_board("pynq-z2")
        )
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", ["csim.so", "network.json"])
def test_a_missing_input_is_refused_and_the_old_overlay_stays(overlay, hls, name):
    (hls / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: is missing; run fdht convert again"):
        build_simulated_overlay(
            ConversionDirectory(hls), OverlayDirectory(overlay), get_board("sim")
        )
    load_manifest(overlay)


@pytest.mark.parametrize("name", ["csim.so", "network.json"])
def test_a_damaged_input_is_refused_and_the_old_overlay_stays(overlay, hls, name):
    """A damaged library would end the process that loads it."""
    data = bytearray((hls / name).read_bytes())
    data[len(data) // 2] ^= 1
    (hls / name).write_bytes(data)
    with pytest.raises(
        ArtifactError, match=rf"{name}: differs from its digest.*run fdht convert again"
    ):
        build_simulated_overlay(
            ConversionDirectory(hls), OverlayDirectory(overlay), get_board("sim")
        )
    load_manifest(overlay)


@pytest.mark.parametrize("estimate", [None, {}, {"cycles_per_frame": 3}])
def test_a_missing_estimate_is_refused(tmp_path, hls, estimate):
    manifest = json.loads((hls / MANIFEST).read_text())
    manifest["estimate"] = estimate
    (hls / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(
        ArtifactError,
        match=r"manifest\.json: estimate.*run fdht convert again|estimate = null: must be a table",
    ):
        build_simulated_overlay(
            ConversionDirectory(hls), OverlayDirectory(tmp_path / "o"), get_board("sim")
        )


def test_no_conversion_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        build_simulated_overlay(
            ConversionDirectory(tmp_path / "none"),
            OverlayDirectory(tmp_path / "o"),
            get_board("sim"),
        )


@pytest.mark.parametrize(("signed", "low", "high"), [(False, 0, 255), (True, -128, 127)])
def test_golden_frames_reach_the_corners(signed, low, high):
    layout = InputLayout(300, FixedPoint(8, 7, signed), 304, None, (300,))
    frames = golden_frames(layout)
    assert frames.dtype == layout.dtype and frames.shape[1] == 300
    means = frames.astype(int)
    for constant in (0, low, high):
        assert (means == constant).all(axis=1).any()
    alternating = [frame for frame in means if len(np.unique(frame)) == 2]
    assert any((frame[::2] == high).all() and (frame[1::2] == low).all() for frame in alternating)
    assert any((frame[::2] == low).all() and (frame[1::2] == high).all() for frame in alternating)
    np.testing.assert_array_equal(frames, golden_frames(layout))


def test_golden_frames_keep_to_a_narrow_format():
    frames = golden_frames(InputLayout(40, FixedPoint(5, 5, False), 40, None, (40,)))
    assert (frames.min(), frames.max()) == (0, 31)


@pytest.mark.parametrize(
    ("golden", "message"),
    [
        (GoldenVectors(np.zeros((2, 59), np.uint8), np.zeros((2, 3), np.int64)), "frames = "),
        (GoldenVectors(np.zeros((2, 60), np.int8), np.zeros((2, 3), np.int64)), "frames = "),
        (GoldenVectors(np.zeros((2, 60), np.uint8), np.zeros((1, 3), np.int64)), "results = "),
        (GoldenVectors(np.zeros((0, 60), np.uint8), np.zeros((0, 3), np.int64)), "frames = "),
    ],
)
def test_golden_vectors_of_another_model_are_refused(overlay, golden, message):
    manifest = load_manifest(overlay)
    save_golden(overlay / manifest.golden, golden)
    with pytest.raises(ArtifactError, match=message):
        load_golden(overlay, manifest)


@pytest.mark.parametrize("contents", [None, b"", b"PK\x03\x04 and no more"])
def test_damaged_golden_vectors_are_refused(overlay, contents):
    manifest = load_manifest(overlay)
    path = overlay / manifest.golden
    path.unlink()
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(ArtifactError, match=r"golden\.npz: cannot be read"):
        load_golden(overlay, manifest)
