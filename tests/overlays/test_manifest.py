from __future__ import annotations

import dataclasses
import json

import pytest

from fdht_hls.registers import VLNV
from fdht_models.artifacts import MANIFEST, new_stage
from fdht_models.errors import ArtifactError
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.sparse_frames import SparseFormat
from fdht_overlays.figures import NO_FIGURES, Figures
from fdht_overlays.manifest import (
    ArrayFacts,
    BuildFacts,
    CycleCount,
    InputLayout,
    OverlayManifest,
    PowerFacts,
    ResultLayout,
    TimingFacts,
    load_manifest,
    manifest_from_json,
)
from fdht_overlays.sparse_pace import SparsePace
from tests.stage_files import reseal

WHOLE = OverlayManifest(
    design_id="00000000000000ff",
    experiment="a-b",
    board="sim",
    flow="csim",
    vlnv=VLNV,
    clock_mhz=100.0,
    input=InputLayout(57600, FixedPoint(8, 8, False), 57600, "motion_energy", (120, 160, 3)),
    results=ResultLayout(("left", "right"), FixedPoint(20, 9, True), 8),
    cycles_per_frame=CycleCount(7232, "estimated"),
    bitstream="a-b.bit",
    handoff="a-b.hwh",
    golden="golden.npz",
    tools={"fdht": "0.1.0"},
)


def write(directory, overlay):
    with new_stage(directory, "overlay", {}) as (temporary, extra):
        extra["overlay"] = overlay
        for name in ("a-b.bit", "a-b.hwh", "golden.npz"):
            (temporary / name).write_text(name)
    return directory


def changed(manifest, path, value):
    """A manifest as JSON with another value at a dotted path."""
    table = json.loads(json.dumps(manifest.to_json()))
    *parents, key = path.split(".")
    place = table
    for parent in parents:
        place = place[parent]
    place[key] = value
    return table


@pytest.fixture
def directory(tmp_path):
    return write(tmp_path / "csim", WHOLE.to_json())


def test_it_survives_json():
    assert manifest_from_json(json.loads(json.dumps(WHOLE.to_json()))) == WHOLE


def test_it_is_read_from_its_directory(directory):
    assert load_manifest(directory) == WHOLE


def test_derived_values():
    assert WHOLE.design_number == 255
    assert WHOLE.seconds_per_frame == pytest.approx(72.32e-6)
    assert (WHOLE.input.dtype, WHOLE.input.shape) == ("uint8", (57600,))
    assert InputLayout(4, FixedPoint(8, 7, True), 8, None, (4,)).dtype == "int8"
    assert (FixedPoint(8, 7, True).minimum, FixedPoint(8, 7, True).maximum) == (-128, 127)
    assert (FixedPoint(8, 8, False).minimum, FixedPoint(8, 8, False).maximum) == (0, 255)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema_version", 6, r"overlay\.schema_version = 6: expected 5; build the overlay"),
        ("schema_version", None, r"overlay\.schema_version: expected 5"),
        ("contexts", 3, r"overlay\.contexts = 3: is no number of contexts"),
        ("contexts", "2", r"overlay\.contexts = '2': must be a whole number"),
        ("desing_id", "", r"overlay\.desing_id: there is no such key; did you mean 'design_id'"),
        ("design_id", "FF", r"overlay\.design_id = 'FF': must be 16 hexadecimal digits"),
        ("design_id", 255, r"overlay\.design_id = 255: must be a text"),
        ("clock_mhz", 0, r"overlay\.clock_mhz = 0\.0: must be positive"),
        ("vlnv", "fdht_lstm", r"overlay\.vlnv = 'fdht_lstm': must have four parts"),
        ("bitstream", "../a-b.bit", r"overlay\.bitstream = .*name of a \.bit file beside"),
        ("bitstream", "a-b.bin", r"overlay\.bitstream = 'a-b\.bin': must be the name of a \.bit"),
        ("bitstream", "c.bit", r"overlay\.handoff = 'a-b\.hwh': must have the bitstream's name"),
        ("golden", "golden.txt", r"overlay\.golden = 'golden\.txt': must be the name of a \.npz"),
        ("input.size", 0, r"overlay\.input\.size = 0: must be positive"),
        ("input.frame_bytes", 57601, r"input\.frame_bytes = 57601: must be a multiple of 8"),
        ("input.frame_bytes", 57592, r"input\.frame_bytes = 57592: .* that holds 57600 bytes"),
        ("input.format.width", 9, r"input\.format\.width = 9: must lie between 1 and 8 bits"),
        ("input.format.signed", 1, r"input\.format\.signed = 1: must be true or false"),
        ("input.frame_shape", [120, "w"], r"input\.frame_shape\[1\] = 'w': must be a whole number"),
        ("results.classes", [], r"results\.classes: must name at least one class"),
        ("results.result_bytes", 4, r"results\.result_bytes = 4: must be a multiple of 8"),
        ("results.format.width", 33, r"results\.format\.width = 33: must lie between 1 and 32"),
        ("cycles_per_frame.cycles", 0, r"cycles_per_frame\.cycles = 0: must be positive"),
        ("cycles_per_frame.kind", "guess", r"cycles_per_frame\.kind = 'guess': is not allowed"),
        ("tools", [], r"overlay\.tools = \[\]: must be a table"),
    ],
)
def test_a_bad_value_is_refused_with_its_dotted_path(path, value, message):
    with pytest.raises(ArtifactError, match=message):
        manifest_from_json(changed(WHOLE, path, value))


@pytest.mark.parametrize("table", [None, [], {}])
def test_what_is_no_manifest_is_refused(table):
    with pytest.raises(ArtifactError, match=r"overlay\.schema_version: expected 5"):
        manifest_from_json(table)


def test_a_missing_key_is_refused():
    table = WHOLE.to_json()
    del table["golden"]
    with pytest.raises(ArtifactError, match=r"overlay\.golden: is missing"):
        manifest_from_json(table)


def test_a_damaged_file_is_refused(directory):
    (directory / "golden.npz").write_text("other")
    with pytest.raises(ArtifactError, match=r"golden\.npz: differs from its digest"):
        load_manifest(directory)


def test_a_missing_file_is_refused(directory):
    (directory / "a-b.hwh").unlink()
    with pytest.raises(ArtifactError, match=r"a-b\.hwh: is missing"):
        load_manifest(directory)


def test_a_file_without_a_digest_is_refused(directory):
    reseal(directory, lambda manifest: manifest["files"].pop("a-b.bit"))
    with pytest.raises(ArtifactError, match=r"files = 'a-b\.bit': lists no digest"):
        load_manifest(directory)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value["overlay"].update(clock_mhz=90.0), "differs from the digest in it"),
        (lambda value: value["tools"].update(numpy="2"), "differs from the digest in it"),
        (lambda value: value["files"].update({"a-b.bit": "0" * 64}), "differs from the digest"),
        (
            lambda value: value.update(digest="0" * 64),
            "differs from the digest in it; copy it again",
        ),
        (lambda value: value.pop("digest"), r"manifest\.json: digest: is missing; copy it again"),
    ],
)
def test_a_changed_manifest_is_refused(directory, change, message):
    """Whatever is changed in it: the digest covers all of the directory."""
    manifest = json.loads((directory / MANIFEST).read_text())
    change(manifest)
    (directory / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=message):
        load_manifest(directory)


def _without_frames(overlay):
    for key in ("frames", "frames_shown"):
        del overlay["input"][key]
    del overlay["sparse_pace"], overlay["contexts"]


def _not_shown(manifest):
    """The same of a core that does not say which frames it takes."""
    layout = dataclasses.replace(manifest.input, frames_shown=False)
    return dataclasses.replace(manifest, input=layout)


def test_an_overlay_of_the_first_version_is_read(directory):
    """It has no digest, and nothing of training and conversion."""

    def former(manifest):
        overlay = manifest["overlay"]
        del overlay["clips"], overlay["figures"], manifest["digest"]
        _without_frames(overlay)
        overlay["schema_version"] = 1

    reseal(directory, former)
    manifest = load_manifest(directory)
    assert manifest == dataclasses.replace(_not_shown(WHOLE), figures=NO_FIGURES)
    assert "former fdht" in manifest.figures.left_out["training"]
    (directory / "a-b.hwh").write_text("other")
    with pytest.raises(ArtifactError, match=r"a-b\.hwh: differs from its digest.*copy it again"):
        load_manifest(directory)


def _of_the_second(manifest):
    _without_frames(manifest["overlay"])
    manifest["overlay"]["schema_version"] = 2


def test_an_overlay_of_the_second_version_takes_dense_frames(directory):
    reseal(directory, _of_the_second)
    manifest = load_manifest(directory)
    assert manifest == _not_shown(WHOLE)
    assert manifest.input.frames == "dense"
    assert manifest.input.sparse_format is None


def test_it_says_that_its_directory_is_sealed(directory):
    """Only the first version has no digest of the directory."""
    reseal(directory, _of_the_second)
    reseal(directory, lambda manifest: manifest.pop("digest"))
    with pytest.raises(ArtifactError, match="digest: is missing"):
        load_manifest(directory)


SPARSE = dataclasses.replace(
    WHOLE,
    input=dataclasses.replace(WHOLE.input, frames="sparse"),
    sparse_pace=SparsePace(1.0, 300, 0.25),
)


def test_sparse_frames_are_read_back():
    found = manifest_from_json(json.loads(json.dumps(SPARSE.to_json())))
    assert found == SPARSE
    assert found.input.sparse_format == SparseFormat(57600, 8)


def test_an_overlay_of_the_fourth_version_has_one_context():
    whole = dataclasses.replace(WHOLE, contexts=4)
    table = json.loads(json.dumps(whole.to_json()))
    assert manifest_from_json(table) == whole
    del table["contexts"]
    with pytest.raises(ArtifactError, match=r"overlay\.contexts: is missing"):
        manifest_from_json(table)
    table["schema_version"] = 4
    assert manifest_from_json(table) == WHOLE


@pytest.mark.parametrize("frames", ["sparse", "raw"])
def test_of_the_third_version_no_core_says_which_frames_it_takes(frames):
    layout = dataclasses.replace(WHOLE.input, frames=frames)
    pace = SPARSE.sparse_pace if frames == "sparse" else None
    whole = dataclasses.replace(WHOLE, input=layout, sparse_pace=pace)
    table = json.loads(json.dumps(whole.to_json()))
    assert whole.input.frames_shown
    del table["input"]["frames_shown"]
    with pytest.raises(ArtifactError, match=r"input\.frames_shown: is missing"):
        manifest_from_json(table)
    del table["contexts"]
    table["schema_version"] = 3
    assert manifest_from_json(table) == _not_shown(whole)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("input.frames", "dense", r"sparse_pace: is not that of dense frames"),
        ("sparse_pace", None, r"sparse_pace: is not that of sparse frames"),
        ("input.frames", "few", r"input\.frames = 'few': is not allowed"),
        ("sparse_pace.word_cycles", 0, r"word_cycles = 0\.0: must be positive"),
        ("sparse_pace.frame_cycles", 0, r"frame_cycles = 0: must be positive"),
        ("sparse_pace.hidden_share", 1.5, r"hidden_share = 1\.5: must lie between 0 and 1"),
        ("sparse_pace.kind", "measured", r"kind = 'measured': is not allowed"),
    ],
)
def test_a_sparse_manifest_that_contradicts_itself_is_refused(path, value, message):
    with pytest.raises(ArtifactError, match=message):
        manifest_from_json(changed(SPARSE, path, value))


@pytest.mark.parametrize(
    ("frames", "words", "cycles", "activity"),
    [
        (4, 0, 1200, 0.25),  # only W_h h works
        (4, 600, 1200, 0.25 + 0.75 / 2),
        (4, 1200, 1200, 1.0),
        (4, 4 * 7201, 28804, 0.75 + 0.25 * 1200 / 28804),
        (0, 0, 0, 0.0),
    ],
)
def test_a_call_takes_as_long_as_its_words_or_as_its_frames(frames, words, cycles, activity):
    assert SPARSE.call_cycles(frames, words) == cycles
    assert SPARSE.sparse_pace.activity(frames, words) == pytest.approx(activity)


def test_a_call_of_dense_frames_takes_the_same_whatever_they_hold():
    assert WHOLE.call_cycles(3, 0) == WHOLE.call_cycles(3, 99) == 3 * 7232


def test_another_stage_is_refused(tmp_path):
    with new_stage(tmp_path / "hls", "hls", {}):
        pass
    with pytest.raises(ArtifactError, match="stage = 'hls': expected 'overlay'"):
        load_manifest(tmp_path / "hls")


def test_no_directory_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_manifest(tmp_path / "none")


FACTS = BuildFacts(
    "hls",
    "0" * 64,
    TimingFacts(0.4, 0.02, 3.7, 0, True),
    {"lut": 20_000, "ff": 30_000.0, "dsp": 100, "bram36": 10.5},
    {"lut": 53_200, "ff": 106_400, "dsp": 220, "bram36": 140},
    PowerFacts(1.9, 1.7, 0.2, "Medium"),
    {"C1": ArrayFacts((4, 8, 2), FixedPoint(6, 5, True))},
    ("csim", "cosim"),
    ("a note",),
)


def with_facts(change=lambda value: None):
    value = dataclasses.replace(WHOLE, build=FACTS).to_json()
    change(value["build"])
    return manifest_from_json(json.loads(json.dumps(value)))


def test_what_the_tools_said_survives_json():
    assert with_facts() == dataclasses.replace(WHOLE, build=FACTS)
    assert WHOLE.build is None and with_facts().frames_per_second == pytest.approx(100e6 / 7232)


def test_a_missed_clock_must_be_allowed_by_name():
    def miss(build):
        build["timing"] |= {"met": False, "setup": -0.1}

    with pytest.raises(ArtifactError, match=r"build\.timing\.met.*is not met, which is no overlay"):
        with_facts(miss)

    def allow(build):
        miss(build)
        build["timing"]["allowed_failure"] = True

    assert not with_facts(allow).build.timing.met


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda build: build.update(core="vhdl"), r"build\.core = 'vhdl': is not allowed"),
        (lambda build: build.update(tool=1), r"build\.tool: there is no such key"),
        (lambda build: build["power"].update(kind="measured"), r"power\.kind = 'measured': is not"),
        (lambda build: build["arrays"]["C1"].pop("shape"), r"arrays\.C1\.shape: is missing"),
        (lambda build: build["used"].update(lut="many"), r"used\.lut = 'many': must be"),
    ],
)
def test_a_bad_report_in_it_is_refused_with_the_dotted_path(change, message):
    with pytest.raises(ArtifactError, match=message):
        with_facts(change)


def test_figures_that_are_left_out_are_one_line():
    assert Figures().left_out_line() is None
    line = Figures(left_out={"training": "is of another design", "estimate": "is not there"})
    assert line.left_out_line() == (
        "figures left out of the overlay: training (is of another design); estimate (is not there)"
    )
