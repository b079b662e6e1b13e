"""What the proof of equality is worth: every small defect that we could make is caught."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.equality import against_reference, prove, refuse_mismatches
from fdht_hls.observation import SimulationRun, values_inside
from fdht_hls.proof import Comparison
from fdht_models.errors import EqualityError
from fdht_models.tensor.reference import ReferenceModel
from tests.hls.conftest import FRAMES, Converted
from tests.hls.mutants import VARIABLE, mutable_library, weight_headers


def silent(label: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def library(small: Converted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network's core with switchable defects."""
    return mutable_library(small.project, tmp_path_factory.mktemp("mutants"))


@pytest.fixture
def found(small, library, monkeypatch):
    """Compares the core with a defect to the reference, on the streams of every other test."""

    def run(mutation: str | None) -> Comparison:
        monkeypatch.delenv(VARIABLE, raising=False)
        if mutation is not None:
            monkeypatch.setenv(VARIABLE, mutation)
        with closing(SimulationRun(small.network, library, len(small.streams), 2)) as simulation:
            return against_reference(
                small.network, simulation, small.streams, silent, "reference_csim", "defect"
            )

    return run


def integers(small: Converted) -> int:
    """Compared in the C simulation's proof: what goes on inside, and the logits."""
    return 6 * FRAMES * (sum(values_inside(small.network).values()) + 3)


def caught(comparison: Comparison) -> None:
    assert comparison.mismatches > 0, "the defect went unseen"
    with pytest.raises(
        EqualityError,
        match=rf"^csim: \d+ of {comparison.compared} integers differ; first: stream \d",
    ):
        refuse_mismatches({"csim": comparison})


def shifts(small: Converted) -> dict[str, tuple[int, int]]:
    """(accumulator's width, fractional bits dropped) of everything that rounds."""
    lstm, cell = small.network.recurrence, small.network.recurrence.cell
    rounds = {}
    for label, path in (("input", lstm.input_path), ("hidden", lstm.hidden_path)):
        for position, form in enumerate(path.formats):
            total = lstm.accumulator_format(path, position)
            rounds[f"{label}.{path.cores[position]}"] = (
                total.width,
                total.fraction - form.fraction,
            )
    total, cell_sum = lstm.sums["preactivation"], lstm.sums["cell"]
    rounds["preactivation"] = (total.width, total.fraction - cell.preactivation.fraction)
    rounds["cell"] = (cell_sum.width, cell_sum.fraction - cell.cell.fraction)
    return rounds


ROUNDING = ["input.C3", "input.C2", "hidden.C3", "hidden.C2", "preactivation", "cell"]


def test_without_a_defect_all_is_equal(small, found):
    assert found(None) == Comparison(integers(small), 0)
    assert found("no such defect") == Comparison(integers(small), 0)


def test_every_place_that_rounds_can_be_told_apart(small):
    assert list(shifts(small)) == ROUNDING
    assert len(set(shifts(small).values())) == len(ROUNDING)


@pytest.mark.parametrize("place", ROUNDING)
def test_truncation_in_one_place_is_caught(small, found, place):
    width, shift = shifts(small)[place]
    caught(found(f"truncate:{width}:{shift}"))


@pytest.mark.parametrize("place", ["input.C3", "input.C2"])
def test_rounding_half_up_in_one_stage_is_caught(small, found, place):
    """A tie is one sum in 2**shift, and every second of them differs."""
    width, shift = shifts(small)[place]
    caught(found(f"half up:{width}:{shift}"))


def test_wrapping_is_caught(small, found):
    width, shift = shifts(small)["preactivation"]
    seen: list[np.ndarray] = []
    model = ReferenceModel(
        small.network, lambda name, codes: seen.append(codes) if name == "preactivation" else None
    )
    for stream in small.streams:
        model.reset()
        model.run(stream)
    form = small.network.recurrence.cell.preactivation
    assert (np.concatenate(seen) == form.maximum).any(), "something must saturate to be caught"
    caught(found(f"wrap:{width}:{shift}"))


@pytest.mark.parametrize("defect", ["swap gates:0:0", "lose state:0:0"])
def test_swapped_gates_and_a_lost_state_are_caught(found, defect):
    caught(found(defect))


def entries(small: Converted) -> dict[str, int]:
    """The array of each header, and an entry of it that matters."""
    used: dict[str, list[np.ndarray]] = {"preactivation": [], "cell": []}
    model = ReferenceModel(small.network, lambda name, codes: used.get(name, []).append(codes))
    model.run(small.streams[0])
    cell = small.network.recurrence.cell
    pre = cell.preactivation.raw(np.stack(used["preactivation"])).reshape(FRAMES, 4, -1)
    entry = {
        "gate": pre[:, (0, 1, 3)],
        "candidate": pre[:, 2],
        "output": cell.cell.raw(np.stack(used["cell"])),
    }
    often = {name: int(np.bincount(raw.ravel()).argmax()) for name, raw in entry.items()}
    names = [header.stem for header in weight_headers(small.project)]
    return {name: often.get(re.sub(r"\d+$", "", name), 1) for name in names}


def test_there_is_an_array_of_each_kind(small):
    kinds = [re.sub(r"\d+_?\d*$", "", name) for name in entries(small)]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "bias": 1,
        "candidate": 1,
        "core": 3,
        "gate": 1,
        "head_bias": 1,
        "head_number": 1,
        "head_weight": 1,
        "hidden_C": 3,
        "output": 1,
        "position": 1,
    }


@pytest.mark.parametrize("change", [1, -1])
@pytest.mark.parametrize("kind", ["core", "hidden_C", "bias", "gate", "candidate", "output"])
def test_one_weight_or_table_entry_off_by_one_is_caught(small, found, kind, change):
    chosen = {name: at for name, at in entries(small).items() if re.match(rf"{kind}[\d_]", name)}
    assert len(chosen) == (3 if kind in ("core", "hidden_C") else 1)
    for name, at in chosen.items():
        caught(found(f"{name}:{at}:{change}"))


def test_the_proof_itself_catches_a_defect_of_the_core(small, library, monkeypatch):
    model = small.classifier.keras(sequences=True, stateful=True, batch=6)
    core = next(name for name in entries(small) if name.startswith("core"))
    monkeypatch.setenv(VARIABLE, f"{core}:0:1")
    with pytest.raises(EqualityError) as caught:
        prove(small.network, model, {"csim": library}, small.streams, silent)
    message = str(caught.value)
    assert re.match(
        rf"reference_csim: \d+ of {integers(small)} integers differ; "
        r"first: stream \d, frame \d+, input\.C\d \d+: "
        r"-?\d+ against -?\d+; this is a defect of fdht: please report it",
        message,
    ), message


def test_the_proof_itself_catches_a_defect_of_keras(small, library, monkeypatch):
    """One weight of the head off by one code, in Keras alone."""
    monkeypatch.delenv(VARIABLE, raising=False)
    model = small.classifier.keras(sequences=True, stateful=True, batch=6)
    kernel, _ = model.layers[-1].weights
    change = np.zeros(kernel.shape)
    change[2, 1] = small.classifier.head.scale * (-1 if kernel[2, 1] > 0 else 1)
    kernel.assign_add(change)
    with pytest.raises(EqualityError, match=r"keras_reference: \d+ of \d+ .* class 1: "):
        prove(small.network, model, {"csim": library}, small.streams, silent)
