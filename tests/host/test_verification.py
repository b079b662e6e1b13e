"""`fdht run --verify`: what the reference computes beside the board, and what is told of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fdht
import fdht_host.comparisons
import fdht_host.verification
from fdht_host.answers import PREDICTIONS, read_predictions
from fdht_host.run import RunSettings
from fdht_host.verification import Verification, verification_of
from fdht_models.errors import ConfigError
from fdht_models.tensor.reference import ReferenceModel
from tests.host.builds import NETWORK, reference_as_core, run_built, write_build, write_video

#: A video of this many frames has twenty sequences of five, and a last one of four.
FRAMES = 105


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    reference_as_core(monkeypatch)
    return write_build(tmp_path / "build")


def run(directory: Path, **settings: Any) -> dict[str, Any]:
    path = directory.parent / "v.mkv"
    if not path.exists():
        write_video(path, FRAMES)
    given = {"clip_frames": 5, "energy": False} | settings
    return run_built(directory, RunSettings([str(path)], **given))


def verified(report: dict[str, Any]) -> list[bool]:
    return [block["verified"] for clip in report["clips"] for block in clip["blocks"]]


def logits(report: dict[str, Any]) -> list[list[int]]:
    return [block["logits"] for clip in report["clips"] for block in clip["blocks"]]


def test_a_share_is_drawn_by_its_seed_and_all_of_it_is_told(directory):
    every, none = run(directory, verify="all"), run(directory, verify="none")
    half, again, other = (run(directory, verify="0.5", verify_seed=seed) for seed in (3, 3, 4))
    assert logits(every) == logits(none) == logits(half) == logits(other)
    assert verified(every) == [True] * 21 and verified(none) == [False] * 21
    assert verified(half) == verified(again) != verified(other)
    assert verified(half)[0] and verified(other)[0]
    assert 4 < sum(verified(half)) < 17
    # What is told is what was done: logits, blocks and clips.
    inputs = [block["inputs"] for block in half["clips"][0]["blocks"]]
    assert sum(inputs) == FRAMES - 1
    compared = sum(one for one, taken in zip(inputs, verified(half), strict=True) if taken)
    counted = {"compared": compared * len(NETWORK.classes), "mismatches": 0}
    assert half["equality"]["reference_board"] == counted
    told = half["equality"]["verification"]
    assert (told["asked"], told["seed"], told["clips"], told["blocks"]) == ("0.5", 3, 1, 21)
    assert told["clips_with_comparisons"] == 1
    assert told["blocks_verified"] == sum(verified(half))
    count = sum(verified(half))
    assert (
        f"{count} of 21 blocks were compared with the reference and {21 - count} were not"
        in (told["statement"])
    )


def test_a_difference_is_seen_where_it_is_looked_for_alone(directory, monkeypatch):
    """A reference that is wrong by one everywhere: as many mismatches as comparisons."""

    class Wrong(ReferenceModel):
        def run(self, inputs: np.ndarray) -> np.ndarray:
            return super().run(inputs) + 1

    monkeypatch.setattr(fdht_host.comparisons, "ReferenceModel", Wrong)
    for share in ("all", "0.3"):
        found = run(directory, verify=share)["equality"]["reference_board"]
        assert found["compared"] == found["mismatches"] > 0


def test_without_it_the_reference_is_not_even_made(directory, monkeypatch, capsys):
    """The default on an ARM, also with a simulated board."""

    def made(*_: Any) -> None:
        raise AssertionError("the host computed what the core does")

    monkeypatch.setattr(fdht_host.comparisons, "ReferenceModel", made)
    monkeypatch.setattr(fdht_host.verification.platform, "machine", lambda: "armv7l")
    path = write_video(directory.parent / "v.mkv", 20)
    options = ["--build", str(directory.parent), "--no-energy", "--source", str(path)]
    assert fdht.main(["run", "tiny-net", *options]) == 0
    assert "not verified: no result was compared" in capsys.readouterr().out
    (written,) = directory.glob("run/*")
    report = json.loads((written / "report.json").read_text())
    assert report["equality"]["reference_board"] == {"compared": None, "mismatches": None}
    assert "the default on an ARM" in report["equality"]["verification"]["statement"]
    assert "not verified: no result was compared" in (written / "report.html").read_text()
    (answer,) = read_predictions(written / PREDICTIONS)
    assert answer.compared == 0 and not answer.blocks[0].verified


def test_a_state_that_lives_through_a_file_is_compared_as_a_whole(directory):
    report = run(directory, clip_frames=0, verify="0.01")
    assert verified(report) == [True, True]  # one sequence in blocks of 64 inputs
    assert report["equality"]["reference_board"]["mismatches"] == 0


def test_the_default_is_all_where_a_run_is_a_test(monkeypatch):
    monkeypatch.setattr(fdht_host.verification.platform, "machine", lambda: "x86_64")
    assert verification_of(None, None, simulated=True).asked == "all"
    assert verification_of(None, None, simulated=False).asked == "none"
    monkeypatch.setattr(fdht_host.verification.platform, "machine", lambda: "aarch64")
    assert verification_of(None, None, simulated=True).asked == "none"
    assert verification_of("1", None, simulated=False) == Verification(1.0)


@pytest.mark.parametrize("given", ["some", "", "-1", "1.5", "nan", "inf", "0", "0.0"])
def test_what_is_no_share_is_refused(given):
    with pytest.raises(ConfigError, match="verify"):
        verification_of(given, None, simulated=True)


@pytest.mark.parametrize("given", ["all", "none", None])
def test_a_seed_that_draws_nothing_is_refused(given):
    with pytest.raises(ConfigError, match="verify-seed"):
        verification_of(given, 1, simulated=True)


def test_a_share_is_what_it_says():
    taken = [Verification(0.1, seed=5).takes("v.mkv", number) for number in range(10_000)]
    assert 900 < sum(taken) < 1100
