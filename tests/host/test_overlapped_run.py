"""Files are read in a thread ahead of the board: the same results as one after the other."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fdht_host.file_reads
from fdht_host import ahead, comparisons
from fdht_host.own_clips import ClipFile
from fdht_host.readers import TRAINED, Reader, reader_of
from fdht_host.run_sources import FILE, FOLDER, Source
from fdht_host.source_run import SourceRun
from fdht_host.streamer import Streamer
from fdht_host.verification import Verification
from fdht_models.errors import DataError, DeviceError
from fdht_models.tensor.reference import ReferenceModel
from tests.host.builds import (
    NETWORK,
    cut_short,
    reference_as_core,
    run_built,
    write_build,
    write_video,
)
from tests.host.interrupting import interruptions


class Core:
    """The reference in place of a board; may do something before a call."""

    def __init__(self, before: Callable[[int], object] = lambda _: None) -> None:
        self._model, self._before, self.calls = ReferenceModel(NETWORK), before, 0

    def infer(self, frames: np.ndarray, reset: bool, context: int) -> np.ndarray:
        assert context == 0
        self._before(self.calls)
        self.calls += 1
        if reset:
            self._model.reset()
        return self._model.run(frames)


def reader(clip_frames: int = 5) -> Reader:
    return reader_of(NETWORK.preprocessing, TRAINED, clip_frames, True)


def streamed(
    *paths: Path, core: Any = None, overlapped: bool = True, share: float = 1.0,
    progress: Callable[..., None] = lambda *_: None,
) -> SourceRun:  # fmt: skip
    kind = FILE if len(paths) == 1 else FOLDER
    files = tuple(ClipFile(path, path.name, path.name) for path in paths)
    run = SourceRun(Source(str(paths[0]), kind, files=files))
    how = (replace(reader(), overlapped=overlapped), Verification(share), progress)
    finish(Streamer(core or Core(), NETWORK, *how), run)
    return run


def finish(streamer: Streamer, run: SourceRun) -> None:
    with closing(streamer.steps(run)) as steps:
        for _ in steps:
            pass


def facts(run: SourceRun) -> dict[str, Any]:
    """All but times."""
    counts = {name: value for name, value in vars(run.times).items() if isinstance(value, int)}
    told = [vars(problem) for problem in run.problems]
    return {
        "answers": run.answers, "problems": told, "inputs": run.inputs, "counts": counts,
        "sequences": run.sequences, "compared": run.compared,
    }  # fmt: skip


def no_thread_is_left() -> bool:
    gc.collect()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        names = [thread.name for thread in threading.enumerate()]
        if not {ahead.NAME, comparisons.NAME} & set(names):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_overlapped_or_not_results_and_accounts_are_the_same(tmp_path, share):
    """A whole file, a broken one, one that is no video, a whole one."""
    paths = [write_video(tmp_path / f"{name}.mkv", 60) for name in "acd"]
    paths[1] = cut_short(write_video(tmp_path / "b.mkv", 400))
    (tmp_path / "c.mkv").write_text("no video")
    paths.insert(2, tmp_path / "c.mkv")
    one, other = (streamed(*paths, overlapped=flag, share=share) for flag in (True, False))
    assert facts(one) == facts(other)
    assert [answer.clip for answer in one.answers] == ["a.mkv", "b.mkv", "d.mkv"]
    assert [problem.path for problem in one.problems] == ["c.mkv"]
    assert one.mismatches == 0 and (one.compared > 0) == (share > 0)
    assert no_thread_is_left()


def test_reading_and_board_work_at_the_same_time(tmp_path):
    """While the first block is on the board, the next ones are read, and no more than may wait."""
    read: list[int] = []
    at_first: list[int] = []

    def counted(*arguments: Any) -> Iterator[Any]:
        for number, block in enumerate(fdht_host.file_blocks.blocks_of(*arguments)):
            read.append(number)
            yield block

    def before(call: int) -> None:
        if call == 0:
            deadline = time.monotonic() + 10
            while len(read) < 2 + ahead.MOST_ITEMS and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.1)
            at_first.append(len(read))

    path = write_video(tmp_path / "v.mkv", 101)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fdht_host.file_reads, "blocks_of", counted)
        run = streamed(path, core=Core(before))
    # One on the board, those that wait, and one that waits for room.
    assert at_first == [1 + ahead.MOST_ITEMS + 1]
    assert run.inputs == 100 and run.mismatches == 0


def test_what_was_read_ahead_of_a_failure_is_not_counted(tmp_path):
    def before(call: int) -> None:
        if call == 3:
            time.sleep(0.3)  # by then much more was read
            raise DeviceError("does not answer", field="core")

    runs = []
    for overlapped in (True, False):
        path = write_video(tmp_path / "v.mkv", 101)
        files = (ClipFile(path, path.name, path.name),)
        run = SourceRun(Source(str(path), FILE, files=files))
        how = (replace(reader(), overlapped=overlapped), Verification(1.0), lambda *_: None)
        with pytest.raises(DeviceError):
            finish(Streamer(Core(before), NETWORK, *how), run)  # type: ignore[arg-type]
        runs.append(run)
    assert facts(runs[0]) == facts(runs[1])
    (answer,) = runs[0].answers
    assert len(answer.blocks) == 3 and answer.compared == 3 * 5 * len(NETWORK.classes)
    assert answer.damage == "does not answer"
    # The block that failed was read, too, and the frame before the first.
    assert answer.frames_used == runs[0].times.frames == 4 * 5 + 1
    assert no_thread_is_left()


def test_a_reference_that_fails_ends_the_run_in_its_own_words(tmp_path, monkeypatch):
    class Failing(ReferenceModel):
        def run(self, inputs: np.ndarray) -> np.ndarray:
            raise MemoryError("no room")

    monkeypatch.setattr(comparisons, "ReferenceModel", Failing)
    with pytest.raises(MemoryError, match="no room"):
        streamed(write_video(tmp_path / "v.mkv", 60))
    assert no_thread_is_left()


def test_a_file_that_ends_too_early_is_told_behind_its_blocks(tmp_path):
    path = cut_short(write_video(tmp_path / "v.mkv", 400))
    with pytest.raises(DataError, match=r"v\.mkv"):
        streamed(path)
    assert no_thread_is_left()


def test_ctrl_c_at_any_line_keeps_what_was_run_and_leaves_no_thread(tmp_path):
    path = write_video(tmp_path / "v.mkv", 40)
    (whole,) = streamed(path).answers
    runs: list[SourceRun] = []

    def work() -> None:
        files = (ClipFile(path, path.name, path.name),)
        runs.append(SourceRun(Source(str(path), FILE, files=files)))
        how = (reader(), Verification(1.0), lambda *_: None)
        finish(Streamer(Core(), NETWORK, *how), runs[-1])  # type: ignore[arg-type]

    places = kept = 0
    for _, error in interruptions(work, step=67):
        places += 1
        error.with_traceback(None)
        error.__context__ = None
        del error
        assert no_thread_is_left()
        found = [answer for run in runs for answer in run.answers]
        runs.clear()
        assert len(found) <= 1
        for answer in found:
            logits = [block.logits for block in answer.blocks]
            assert logits == [block.logits for block in whole.blocks][: len(logits)]
            assert answer.mismatches == 0
            kept += len(logits)
    assert places > 4 and kept > places


def test_the_report_says_how_much_overlaps(tmp_path, monkeypatch):
    reference_as_core(monkeypatch)
    from fdht_host.run import RunSettings

    directory = write_build(tmp_path / "build")
    path = write_video(tmp_path / "v.mkv", 60)
    report = run_built(directory, RunSettings([str(path)], clip_frames=5, energy=False))
    found = report["throughput"]["overlap"]
    stages = {name: found[name] for name in ("decoding", "reading", "board", "reference")}
    assert min(stages.values()) > 0 and found["slowest"] == max(stages, key=stages.__getitem__)
    assert found["ratio"] == pytest.approx(found["whole"] / stages[found["slowest"]])
    assert found["whole"] == report["sources"][0]["seconds"]
    assert "integer reference beside it" in report["throughput"]["overall"]["note"]
    alone = run_built(
        directory, RunSettings([str(path)], clip_frames=5, energy=False, verify="none")
    )
    assert alone["throughput"]["overlap"]["reference"] == 0
    assert "reference" not in alone["throughput"]["overall"]["note"]
