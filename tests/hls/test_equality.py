"""Keras = integer reference = C simulation, integer for integer, for networks of every kind."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fdht_hls import equality
from fdht_hls.conversion import convert_project
from fdht_hls.equality import (
    Comparison,
    Expected,
    against_reference,
    compare,
    corner_frames,
    prove,
    reference_logits,
    refuse_mismatches,
    together,
)
from fdht_hls.observation import (
    KerasRun,
    ReferenceRun,
    check_complete,
    uneven_pieces,
    values_inside,
)
from fdht_hls.shapes import stage_shape
from fdht_models.errors import ConversionError, EqualityError
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import ContractionPath
from fdht_models.tensor.recurrent import RecurrentShape
from fdht_models.tensor.reference import ReferenceModel
from tests.hls.conftest import FRAMES, Converted
from tests.hls.networks import CLASSIFIERS, SIGNED, Classifier, streams_of
from tests.models.strategies import build_network, fdht_shapes, layer_formats


def silent(label: str, done: int, total: int) -> None:
    assert 0 <= done <= total and label


def proof(project: Converted, builds: tuple, streams: np.ndarray) -> dict[str, Comparison]:
    libraries = {build: project.library(build) for build in builds}
    model = project.classifier.keras(sequences=True, stateful=True, batch=len(streams))
    return prove(project.network, model, libraries, streams, silent)


def test_ten_thousand_integers_are_equal(small):
    """The main proof, with both builds of the C simulation: streams of 60 frames in pieces."""
    streams = np.concatenate([small.streams, streams_of(small.network, 51, FRAMES, seed=1)])
    results = proof(small, ("exact", "native"), streams)
    assert set(results) == {"keras_reference", "reference_exact", "reference_native"}
    for result in results.values():
        assert not result.mismatches
        assert result.quantities["logits"] == 57 * FRAMES * 3 >= 10_000
        assert result.compared == sum(result.quantities.values()) > 400_000
    assert len(np.unique(small.logits)) > 300, "a dead network proves nothing"


@pytest.mark.parametrize(
    ("name", "build"), [("words", "exact"), ("wide", "exact"), ("deep", "native")]
)
def test_every_kind_of_network_is_equal(converted, name, build):
    project = converted(name)
    results = proof(project, (build,), project.streams)
    assert list(results) == ["keras_reference", f"reference_{build}"]
    for result in results.values():
        assert not result.mismatches
        assert result.quantities["logits"] == 6 * FRAMES * project.classifier.classes
        assert result.compared > 10_000
    assert len(np.unique(project.logits)) > 100, "a dead network proves nothing"


def test_the_graph_of_keras_is_made_of_the_layers_as_they_are(small):
    """Reading sources anew, as autograph does, takes longer than the comparison itself."""
    from fdht_models.kerasapi import tf

    control = tf.__internal__.autograph
    model = small.classifier.keras(sequences=True, stateful=True, batch=len(small.streams))
    layer, seen = model.layers[-2], []
    call = layer.call

    def watched(*arguments, **named):
        seen.append((tf.executing_eagerly(), control.control_status_ctx().status.name))
        return call(*arguments, **named)

    layer.call = watched
    KerasRun(small.network, model).run(small.streams[:, :2], True)
    graphs = [status for eager, status in seen if not eager]
    assert graphs and set(graphs) == {"DISABLED"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "build"), [("words", "native"), ("wide", "native"), ("deep", "exact")]
)
def test_the_other_build_is_equal(converted, name, build):
    project = converted(name)
    assert not any(
        result.mismatches for result in proof(project, (build,), project.streams).values()
    )


def test_the_networks_are_of_every_kind():
    networks = {name: classifier.network for name, classifier in CLASSIFIERS.items()}
    assert {len(c.shape.input_modes) for c in CLASSIFIERS.values()} == {2, 3, 4, 5}
    assert {n.input_format.signed for n in networks.values()} == {True, False}
    assert {n.frame_bytes == n.inputs for n in networks.values()} == {True, False}
    assert {c.shape.input_modes[-1] % 8 == 0 for c in CLASSIFIERS.values()} == {True, False}
    assert {len(n.classes) for n in networks.values()} == {1, 3, 4, 7}
    assert networks["wide"].recurrence.sums["preactivation"].width > 40
    assert networks["wide"].recurrence.cell.bias.format.width > 32


SETTINGS = settings(
    max_examples=6,
    # Each example is two compilations; shrinking would take hours.
    phases=[Phase.explicit, Phase.generate],
)


def can_be_streamed(shape: RecurrentShape) -> bool:
    """Not every dimension tree makes a chain; see `test_shapes`."""
    try:
        for plan in (shape.input_plan, shape.hidden_plan):
            path = ContractionPath(plan, tuple(stage.core for stage in plan.stages), ())
            for position in range(len(plan.stages)):
                stage_shape(path, position)
    except ConversionError:
        return False
    return True


@st.composite
def classifiers(draw: st.DrawFn) -> Classifier:
    """Any shape, tree, sign, width and gate."""
    shape = draw(fdht_shapes(max_modes=5, max_units=16).filter(can_be_streamed))
    bits = st.integers(3, 10)

    def form(width: st.SearchStrategy[int], above: int, signed: bool = True) -> FixedPoint:
        bits = draw(width)
        return FixedPoint(bits, bits - above - signed, signed)

    formats = {
        name: form(st.integers(5, 20), draw(st.integers(1, 4)))
        for name in layer_formats(shape)
        if name.startswith(("C", "input.", "hidden."))
    }
    formats |= {
        "input": draw(st.sampled_from([SIGNED, FixedPoint(8, 8, signed=False)])),
        "preactivation": form(bits, 2),
        "gate": form(bits, 0, signed=False),
        "candidate": form(bits, 0),
        "output": form(bits, 0),
        "cell": form(st.integers(4, 14), 2),
        "hidden": form(st.integers(3, 8), 0),
    }
    gates = st.sampled_from(
        [("sigmoid", "tanh"), ("binary_sigmoid", "binary_tanh"), ("hard_sigmoid", "smooth_tanh")]
    )
    return Classifier(
        "any", shape, formats, draw(gates), draw(st.integers(1, 5)), seed=draw(st.integers(0, 99))
    )


@pytest.mark.slow
@given(classifier=classifiers())
@SETTINGS
def test_any_network_is_equal(tmp_path_factory, classifier):
    project = Converted(classifier, tmp_path_factory.mktemp("any"))
    convert_project(classifier.keras(), project.network, project.project, {})
    results = proof(project, ("exact", "native"), project.streams[2:])
    assert not any(result.mismatches for result in results.values())


@pytest.mark.slow
@pytest.mark.parametrize("fibre", [16, 24])
def test_fibres_of_several_words_are_equal(tmp_path, fibre):
    classifier = CLASSIFIERS["bytes"]
    shape = dataclasses.replace(classifier.shape, input_modes=(3, 4, fibre))
    project = Converted(dataclasses.replace(classifier, shape=shape), tmp_path)
    convert_project(project.classifier.keras(), project.network, project.project, {})
    assert "read_frame_of_words" in (project.project / "firmware" / "fdht_lstm.cpp").read_text()
    results = proof(project, ("native",), project.streams)
    assert not any(result.mismatches for result in results.values())


@pytest.mark.slow
def test_stage_formats_of_any_place_are_equal(tmp_path):
    """Stages whose sums all round to nothing (a shift wider than the sum), or all saturate."""
    base = CLASSIFIERS["bytes"]
    coarse = {"input.C3": FixedPoint(8, -16), "hidden.C2": FixedPoint(4, -21)}
    fine = {"input.C2": FixedPoint(12, 11), "hidden.C3": FixedPoint(6, 5)}
    classifier = dataclasses.replace(base, formats={**coarse, **fine})
    project = Converted(classifier, tmp_path)
    path = project.network.recurrence.input_path
    drop = project.network.recurrence.accumulator_format(path, 0)
    assert drop.fraction - path.formats[0].fraction > drop.width
    convert_project(classifier.keras(), project.network, project.project, {})
    results = proof(project, ("exact", "native"), project.streams)
    assert not any(result.mismatches for result in results.values())


# The parts of a proof ---------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [False, True])
def test_the_corner_cases_are_there(signed):
    network = build_network(signed_input=signed)
    frames = corner_frames(network, FRAMES)
    low, high = network.input_format.minimum, network.input_format.maximum
    assert frames.shape == (FRAMES, 60) and frames.dtype == (np.int8 if signed else np.uint8)
    even = np.arange(60) % 2 == 0
    patterns = {
        "largest": np.full(60, high),
        "smallest": np.full(60, low),
        "zero": np.zeros(60),
        "alternating": np.where(even, low, high),
        "alternating the other way": np.where(even, high, low),
    }
    for name, pattern in patterns.items():
        here = np.flatnonzero((frames == pattern).all(1))
        assert len(here) >= 6, name
        assert (np.diff(here) == 1).sum() >= 4, f"{name}: held for a while"
        assert (np.diff(here) > 1).any(), f"{name}: also in turn with others"
    assert len(np.unique(frames[-15:])) > 200, "noise"


def test_corner_cases_reach_the_limits_of_every_kind_of_number():
    """Stages, pre-activation and cell state of a network with narrow formats saturate."""
    network = CLASSIFIERS["deep"].network
    lstm, cell = network.recurrence, network.recurrence.cell
    limits = {
        "input.C5": lstm.input_path.formats[0],
        "input.C3": lstm.input_path.formats[2],
        "preactivation": cell.preactivation,
        "cell": cell.cell,
    }
    seen: dict[str, list[np.ndarray]] = {name: [] for name in limits}
    ReferenceModel(network, lambda name, codes: seen.get(name, []).append(codes.ravel())).run(
        corner_frames(network, FRAMES)
    )
    for name, form in limits.items():
        codes = np.concatenate(seen[name])
        assert codes.max() == form.maximum, name
        assert len(np.unique(codes)) > 20, name


@pytest.mark.parametrize("count", [1, 2, 5, 9, 10, 60])
def test_corner_cases_of_any_length(count):
    assert corner_frames(build_network(), count).shape == (count, 60)


@pytest.mark.parametrize("frames", [1, 2, 24, 60, 500])
@pytest.mark.parametrize("seed", range(4))
def test_pieces_cover_all_frames_once(frames, seed):
    pieces = uneven_pieces(frames, seed)
    covered = np.concatenate([np.arange(frames)[piece] for piece in pieces])
    np.testing.assert_array_equal(covered, np.arange(frames))
    assert pieces[0] == slice(0, 1), "one of a single frame"
    assert all(piece.start < piece.stop for piece in pieces)
    if frames == 500:
        assert len({piece.stop - piece.start for piece in pieces}) > 5, "uneven"


def test_streams_start_anew_and_are_cut_differently():
    assert uneven_pieces(60, 0) != uneven_pieces(60, 1)
    network = build_network()
    streams = np.stack([corner_frames(network, 20)] * 2)
    logits = reference_logits(network, streams)
    np.testing.assert_array_equal(logits[0], logits[1])


def test_a_comparison_names_the_first_difference():
    expected = np.arange(24).reshape(2, 4, 3)
    found = expected.copy()
    found[1, 2, 0] = -7
    found[1, 3, 1] = 0
    result = compare(expected, found)
    assert result == Comparison(24, 2, "stream 1, frame 2, class 0: 18 against -7")
    assert result.to_json() == {
        "compared": 24,
        "mismatches": 2,
        "first": result.first,
        "quantities": {"logits": 24},
    }
    assert compare(expected, expected.copy()) == Comparison(24, 0, None)


def test_comparisons_of_several_kinds_are_added_up():
    same, other = np.zeros((1, 2, 3), np.int64), np.ones((1, 2, 3), np.int64)
    parts = [
        compare(same, same, "input.C2"),
        compare(same, other, "input.C2", 7),
        compare(other, same),
    ]
    found = together(parts)
    assert found == Comparison(18, 12, "stream 0, frame 7, input.C2 0: 0 against 1")
    assert found.quantities == {"input.C2": 12, "logits": 6}


@pytest.mark.parametrize(("most", "resets"), [(10**9, 1), (16_000, 3)])
def test_the_reference_runs_once_if_its_integers_fit(monkeypatch, most, resets):
    """Two comparisons of the same streams; a third, whose streams are others, differs."""
    network = CLASSIFIERS["bytes"].network
    streams, others = (streams_of(network, 2, 50, seed=seed) for seed in (0, 1))
    asked: list[bool] = []

    class Counted(ReferenceRun):
        def run(self, frames, reset):
            asked.append(reset)
            return super().run(frames, reset)

    monkeypatch.setattr(equality, "ReferenceRun", Counted)
    monkeypatch.setattr(equality, "_WINDOW_VALUES", most)
    inside = streams.shape[0] * streams.shape[1] * sum(values_inside(network).values())
    assert 16_000 < inside < 10**9
    expected = Expected(network, streams)
    found = [
        against_reference(
            *(network, ReferenceRun(network, 2), given, silent, "reference_csim", "again", expected)
        )
        for given in (streams, streams, others)
    ]
    # Each pass starts from a state of zero once, and goes on from there.
    assert asked.count(True) == resets and asked[0]
    assert [one.mismatches > 0 for one in found] == [False, False, True]
    assert found[0] == found[1] and found[0].compared > inside


def test_a_comparison_that_looks_at_less_is_refused(small):
    shown = dict.fromkeys([*values_inside(small.network), "logits"], np.zeros((1, 1, 1), np.int64))
    check_complete("reference_csim", small.network, shown)
    for name in shown:
        less = {key: value for key, value in shown.items() if key != name}
        with pytest.raises(EqualityError, match=rf"reference_csim: does not show {name}; "):
            check_complete("reference_csim", small.network, less)


def test_mismatches_are_refused_with_the_first_difference():
    results = {"a": Comparison(24, 0), "b": Comparison(24, 2, "stream 1, frame 2, class 0: 5")}
    with pytest.raises(EqualityError) as caught:
        refuse_mismatches(results)
    assert str(caught.value).startswith(
        "b: 2 of 24 integers differ; first: stream 1, frame 2, class 0: 5"
    )
    refuse_mismatches({"a": Comparison(24, 0)})
