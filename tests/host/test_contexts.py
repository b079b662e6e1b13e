"""Streams in turns on a simulated board: each as if it were alone, whatever happens to others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht_hls.schedule import default_schedule
from fdht_host.accelerator import Accelerator
from fdht_host.interleaving import in_turns, infer_in_turns
from fdht_host.run import RunSettings
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.directories import BuildDirectory
from fdht_models.errors import ConfigError, DataError, DeviceError
from fdht_overlays.manifest import load_manifest
from tests.host import builds, toy_core
from tests.host.interrupting import interruptions

CONTEXTS = 4


def write(directory: Path, *options: str, contexts: int = CONTEXTS) -> Path:
    library = toy_core.compile_toy(f"-DCONTEXTS={CONTEXTS}", *options)
    return toy_core.write_toy_overlay(directory, library=library, contexts=contexts)


@pytest.fixture
def accelerator(tmp_path: Path) -> Iterator[Accelerator]:
    opened = Accelerator.open(write(tmp_path / "overlay"), device=SimulatedDevice(), batch=8)
    with opened as found:
        yield found


class Streams:
    """What each context's logits should be: of all its frames since its last reset."""

    def __init__(self) -> None:
        self.frames = [np.empty((0, toy_core.INPUTS), np.uint8) for _ in range(CONTEXTS)]

    def wanted(self, frames: np.ndarray, context: int, reset: bool) -> np.ndarray:
        # A reset waits for a frame to carry it, and is none where there is no frame.
        before = self.frames[context][:0] if reset and len(frames) else self.frames[context]
        self.frames[context] = np.concatenate([before, frames])
        logits = toy_core.expected_logits(self.frames[context])
        return logits[len(logits) - len(frames) :]


def test_streams_in_turns_are_as_if_each_were_alone(accelerator):
    generator, streams = np.random.default_rng(2), Streams()
    assert accelerator.contexts == CONTEXTS
    for call in range(80):
        frames = toy_core.random_frames(int(generator.integers(1, 20)), seed=call)
        context, reset = int(generator.integers(CONTEXTS)), bool(generator.random() < 0.2)
        wanted = streams.wanted(frames, context, reset)
        if generator.random() < 0.5:
            logits = accelerator.infer(frames, reset=reset, context=context)
        else:
            given = iter(frames)
            logits = np.array(list(accelerator.stream(given, reset=reset, context=context)))
        np.testing.assert_array_equal(logits, wanted, f"call {call}")


@pytest.mark.parametrize("context", [-1, CONTEXTS, 2**32, True, 1.0, None])
def test_a_context_that_the_core_does_not_keep(accelerator, context):
    frames = toy_core.random_frames(3)
    for call in (accelerator.infer, accelerator.stream):
        with pytest.raises(ConfigError, match="context") as refused:
            call(frames, reset=True, context=context)
        assert "--contexts" in refused.value.remedy
    accelerator.infer(frames, reset=True)


def test_a_core_with_one_context_refuses_a_second(tmp_path):
    with toy_core.open_toy(tmp_path) as accelerator:
        assert accelerator.contexts == 1
        with pytest.raises(ConfigError, match=r"context = 1: .* from 0 to 0; the core keeps 1"):
            accelerator.infer(toy_core.random_frames(3), reset=True, context=1)


@pytest.mark.parametrize(
    "step", [pytest.param(7, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)
def test_ctrl_c_leaves_the_state_of_its_context_alone_unknown(accelerator, step):
    frames, streams, place = toy_core.random_frames(20), Streams(), 0

    def infer() -> None:
        accelerator.infer(frames, reset=True, context=1)

    given = toy_core.random_frames(3, seed=1)
    for context in (0, 2):
        accelerator.infer(given, reset=True, context=context)
        streams.wanted(given, context, True)
    for place, _ in interruptions(infer, step):
        others = toy_core.random_frames(11, seed=place)
        for context in (0, 2):
            found = accelerator.infer(others, reset=False, context=context)
            wanted = streams.wanted(others, context, False)
            np.testing.assert_array_equal(found, wanted, f"line {place}, context {context}")
        streams.frames = [kept[-60:] for kept in streams.frames]  # halved 60 times, they are 0
    assert place > 50, "nothing was interrupted"


def test_an_interrupted_context_must_be_reset(accelerator):
    frames = toy_core.random_frames(20)
    stream = accelerator.stream(iter(frames), context=3)
    next(stream)
    stream.close()
    with pytest.raises(DeviceError, match="did not end"):
        accelerator.infer(frames, reset=False, context=3)
    found = accelerator.infer(frames, reset=True, context=3)
    np.testing.assert_array_equal(found, toy_core.expected_logits(frames))


def use_beside(accelerator: Accelerator) -> None:
    """Another program runs frames on the core."""
    driver, device = accelerator.driver, accelerator.device
    frames, results = device.allocate((5, 24), "u1"), device.allocate((5, 4), "i4")
    driver.start(frames.device_address, results.device_address, 5, reset=True, context=0)
    driver.wait(1.0)


def test_who_else_used_the_core_may_have_done_so_in_any_context(accelerator):
    frames = toy_core.random_frames(5)
    for context in (0, 1):
        accelerator.infer(frames, reset=True, context=context)
    use_beside(accelerator)
    for context in (0, 1):
        with pytest.raises(DeviceError, match="another's"):
            accelerator.infer(frames, reset=False, context=context)
    accelerator.infer(frames, reset=True, context=0)
    with pytest.raises(DeviceError, match="reset=True"):
        accelerator.infer(frames, reset=False, context=1)
    accelerator.infer(frames, reset=False, context=0)


def test_use_beside_an_interrupted_call_is_seen(accelerator):
    frames = toy_core.random_frames(4)
    accelerator.infer(frames, reset=True, context=1)
    stream = accelerator.stream(iter(frames), context=0)
    next(stream, None)
    stream.close()
    for _ in range(3):
        use_beside(accelerator)
    with pytest.raises(DeviceError, match="reset=True"):
        accelerator.infer(frames, reset=False, context=1)


@pytest.mark.parametrize(("said", "shown"), [(2, 4), (1, 4)])
def test_the_manifest_says_how_many_there_are(tmp_path, said, shown):
    directory = write(tmp_path / "overlay", contexts=said)
    with pytest.raises(DeviceError, match=f"contexts = {shown}: the manifest says {said}"):
        Accelerator.open(directory, device=SimulatedDevice())


def test_the_self_test_sees_contexts_that_share_their_state(tmp_path):
    directory = write(tmp_path / "overlay", "-DONE_STATE")
    with pytest.raises(DeviceError, match="self test"):
        Accelerator.open(directory, device=SimulatedDevice())


# In turns -----------------------------------------------------------------------------------------


def counted(name: str, steps: int, log: list[str]) -> Any:
    def begin(context: int) -> Iterator[str]:
        log.append(f"{name} begins in {context}")
        try:
            for step in range(steps):
                yield f"{name}{step}"
        finally:
            log.append(f"{name} ends")

    return begin


def test_each_takes_a_step_in_turn():
    log: list[str] = []
    streams = [counted("a", 3, log), counted("b", 1, log), counted("c", 0, log)]
    taken = list(in_turns([*streams, counted("d", 2, log)], 2))
    assert taken == [(0, "a0"), (1, "b0"), (0, "a1"), (0, "a2"), (3, "d0"), (3, "d1")]
    assert log[:2] == ["a begins in 0", "b begins in 1"]
    assert "d begins in 1" in log and sum("ends" in line for line in log) == 4


def test_with_one_context_they_follow_each_other():
    log: list[str] = []
    taken = [step for _, step in in_turns([counted("a", 2, log), counted("b", 2, log)], 1)]
    assert taken == ["a0", "a1", "b0", "b1"]
    assert log == ["a begins in 0", "a ends", "b begins in 0", "b ends"]


def test_who_gives_up_ends_all_that_are_under_way():
    log: list[str] = []
    turns = in_turns([counted(name, 3, log) for name in "abc"], 2)
    assert next(turns) == (0, "a0") and next(turns) == (1, "b0")
    turns.close()
    assert log == ["a begins in 0", "b begins in 1", "a ends", "b ends"] or log[2:] == [
        "b ends",
        "a ends",
    ]


def test_more_streams_than_contexts(accelerator):
    clips = [toy_core.random_frames(5 + 3 * number, seed=number) for number in range(7)]
    blocks = [[clip[at : at + 4] for at in range(0, len(clip), 4)] for clip in clips]
    found: dict[int, list[np.ndarray]] = {number: [] for number in range(7)}
    order = []
    for number, logits in infer_in_turns(accelerator, blocks):
        found[number].append(logits)
        order.append(number)
    assert order[:4] == [0, 1, 2, 3]
    for number, clip in enumerate(clips):
        logits = np.concatenate(found[number])
        np.testing.assert_array_equal(logits, toy_core.expected_logits(clip))


# A run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contexts", [1, 2])
def test_sources_of_a_run_are_in_turns(tmp_path, monkeypatch, contexts):
    """Three videos of several calls, held against the reference frame by frame."""
    builds.reference_as_core(monkeypatch)
    schedule = default_schedule(builds.NETWORK.recurrence).with_frames("dense", contexts)
    directory = builds.write_build(tmp_path / "build", schedule=schedule)
    overlay = BuildDirectory(directory).overlay("sim", "csim").path
    assert load_manifest(overlay).contexts == contexts
    order: list[int] = []
    infer = Accelerator.infer

    def noted(self: Accelerator, frames: np.ndarray, **how: Any) -> np.ndarray:
        order.append(how.get("context", 0))
        return infer(self, frames, **how)

    monkeypatch.setattr(Accelerator, "infer", noted)
    sources = [str(builds.write_video(tmp_path / f"{name}.mkv")) for name in "abc"]
    settings = RunSettings(sources, energy=False, clip_frames=10)
    report = builds.run_built(directory, settings)
    assert [source["mismatches"] for source in report["sources"]] == [0, 0, 0]
    assert [source["source"] for source in report["sources"]] == sources
    assert len({source["compared"] for source in report["sources"]}) == 1
    runs = order[3 if contexts > 1 else 1 :]  # behind those of the self test
    assert runs[:4] == ([0, 1, 0, 1] if contexts > 1 else [0] * 4)


def test_a_source_that_is_damaged_ends_alone(tmp_path, monkeypatch):
    builds.reference_as_core(monkeypatch)
    schedule = default_schedule(builds.NETWORK.recurrence).with_frames("dense", 2)
    directory = builds.write_build(tmp_path / "build", schedule=schedule)
    damaged = builds.cut_short(builds.write_video(tmp_path / "a.mkv", frames=120))
    sources = [str(damaged), str(builds.write_video(tmp_path / "b.mkv", frames=120))]
    runs = BuildDirectory(directory).runs
    with suppress(DataError):
        builds.run_built(directory, RunSettings(sources, energy=False, clip_frames=0))
    report = json.loads(next(runs.glob("*/report.json")).read_text())
    assert report["sources"][-1]["source"] == sources[1]
    assert report["sources"][-1]["mismatches"] == 0
    assert report["sources"][-1]["inputs"] > 100
