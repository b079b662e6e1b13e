"""Streams clips and files through a board and holds every logit against the reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_host.accelerator import Accelerator
from fdht_host.answers import ClipAnswer, Reading, accuracy_of, vote
from fdht_host.blocks import blocks_of
from fdht_host.frame_notes import notes_of
from fdht_host.own_clips import ClipFile
from fdht_host.readers import TRAINED, FileAccount, InputBlock, Reader
from fdht_host.run_sources import FILE, Source
from fdht_host.video import VideoTimes
from fdht_models.data import ClipSet
from fdht_models.data.folders import Problem
from fdht_models.errors import ConfigError, DataError, FdhtError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

Progress = Callable[[str, int, int], None]


@dataclass(eq=False)
class SourceRun:
    """A source as far as it was run; grows with every clip.

    Attributes:
        source: what was asked for.
        answers: of its clips, in order.
        problems: clips that could not be read, and why.
        compared: logits compared with the reference.
        mismatches: how many of them differ.
        frames: network inputs that were run.
        seconds: on the host's clock, the comparison left out.
        times: of reading, by phase.
        account: of the first file; None before it and of the test set.
    """

    source: Source
    answers: list[ClipAnswer] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    compared: int = 0
    mismatches: int = 0
    frames: int = 0
    seconds: float = 0.0
    times: VideoTimes = field(default_factory=VideoTimes)
    account: FileAccount | None = None

    def __post_init__(self) -> None:
        self.problems += self.source.problems

    def to_json(self, network: QuantizedNetwork, reader: Reader) -> dict[str, Any]:
        """An entry of the report's `sources`; its clips are in `clips`."""
        return {
            "source": self.source.name,
            "kind": self.source.kind,
            "clips": len(self.answers),
            "frames": self.frames,
            "seconds": self.seconds,
            "compared": self.compared,
            "mismatches": self.mismatches,
            "accuracy": accuracy_of(self.answers, network.classes),
            "problems": [vars(problem) for problem in self.problems],
            "notes": [
                *self.source.notes,
                *notes_of(reader, self.answers, self.problems, network.preprocessing.sampling),
            ],
        }

    def video(self, network: QuantizedNetwork) -> dict[str, Any] | None:
        """The report's section `video`; None of what is no single video."""
        if self.source.kind != FILE or network.feature is None or not self.answers:
            return None
        labelled = [answer for answer in self.answers if answer.label is not None]
        account = self.account or FileAccount()
        return {
            **account.info,
            "file": self.source.files[0].path.name,
            "frames": self.times.frames or account.there,
            "features": self.frames,
            "predictions": list(_predictions(self.answers)),
            "labelled": len(labelled),
            "correct": sum(answer.predicted == answer.label for answer in labelled),
            "seconds": self.seconds,
        }


def _predictions(answers: Sequence[ClipAnswer]) -> Iterator[dict[str, Any]]:
    """Blocks in order; `start` counts the network inputs before them."""
    start = 0
    for answer in answers:
        for block in answer.blocks:
            yield {
                "start": start,
                "frames": block.inputs,
                "predicted": block.predicted,
                "label": answer.label,
            }
            start += block.inputs


class Stepper:
    """Runs blocks one after the other, on the board and in the reference.

    Args:
        accelerator: the board.
        network: what it runs.
        run: where counts are added up.
    """

    def __init__(self, accelerator: Accelerator, network: QuantizedNetwork, run: SourceRun) -> None:
        self._accelerator, self._run = accelerator, run
        self._reference = ReferenceModel(network)
        self.compared = self.mismatches = 0

    def step(self, inputs: npt.NDArray[Any], reset: bool) -> npt.NDArray[np.int64]:
        """Logits after the last of some inputs: int64 [classes]."""
        started = time.perf_counter()
        logits = self._accelerator.infer(inputs, reset=reset)
        self._run.seconds += time.perf_counter() - started
        if reset:
            self._reference.reset()
        wrong = int(np.count_nonzero(logits != self._reference.run(np.asarray(inputs))))
        self._run.frames += len(inputs)
        self._run.compared += logits.size
        self._run.mismatches += wrong
        self.compared += logits.size
        self.mismatches += wrong
        return logits[-1]

    def counts(self) -> tuple[int, int]:
        """Logits compared, and how many of them differ, since the last call."""
        found = self.compared, self.mismatches
        self.compared = self.mismatches = 0
        return found


def stream_clips(
    accelerator: Accelerator,
    network: QuantizedNetwork,
    clips: ClipSet,
    progress: Progress,
    run: SourceRun,
) -> SourceRun:
    """Runs the clips of a set, each from a zero state.

    Args:
        accelerator: the board.
        network: what it runs.
        clips: codes [clips, steps, inputs] and labels.
        progress: told after each clip.
        run: filled clip by clip, so that something is left where one fails.

    Returns:
        `run`.
    """
    stepper, name = Stepper(accelerator, network, run), run.source.name
    for number, (frames, label) in enumerate(zip(clips.frames, clips.labels, strict=True)):
        logits = stepper.step(frames, True)
        found = vote([Reading(None, len(frames), logits)], network.classes, network.logit_format)
        compared, mismatches = stepper.counts()
        run.answers.append(
            ClipAnswer(
                source=name,
                clip=f"{name} {number}",
                start=None,
                label=network.classes[int(label)],
                **vars(found),
                frames_used=None,
                frames_there=None,
                protocol=TRAINED,
                stride=None,
                time_step=clips.time_step,
                damage="",
                compared=compared,
                mismatches=mismatches,
            )
        )
        progress("test clips", number + 1, len(clips.labels))
    return run


def stream_files(
    accelerator: Accelerator,
    network: QuantizedNetwork,
    reader: Reader,
    progress: Progress,
    run: SourceRun,
) -> SourceRun:
    """Runs the files of a source, one after the other; each is read, run and dropped.

    Of a folder, files that cannot be read are counted and named; what came before damage is used.

    Args:
        accelerator: the board.
        network: what it runs.
        reader: how files become blocks.
        progress: told after each file, of a single file after each block.
        run: filled clip by clip, so that something is left where one fails.

    Returns:
        `run`.

    Raises:
        DataError, ConfigError: a file that was named itself cannot be read to its end.
    """
    files, alone = run.source.files, run.source.kind == FILE
    for number, file in enumerate(files):
        account = FileAccount()
        run.account = run.account or account
        before = len(run.answers)

        def told(done: int, file: ClipFile = file, account: FileAccount = account) -> None:
            if alone:
                progress(file.path.name, done, account.info.get("frames_declared") or 0)

        try:
            _stream_file(accelerator, network, reader, file, account, told, run)
        except (DataError, ConfigError) as error:
            if alone:
                raise
            if len(run.answers) == before:
                reason = error.problem + (f"; {error.remedy}" if error.remedy else "")
                run.problems.append(Problem(file.name, reason))
        if not alone:
            progress(run.source.name, number + 1, len(files))
    return run


@dataclass(frozen=True)
class _Step:
    """A block that was run, without its inputs: a file may be longer than the memory."""

    block: InputBlock
    reading: Reading
    compared: int
    mismatches: int


def _stream_file(
    accelerator: Accelerator,
    network: QuantizedNetwork,
    reader: Reader,
    file: ClipFile,
    account: FileAccount,
    told: Callable[[int], None],
    run: SourceRun,
) -> None:
    """Runs one file; what of it was run is in `run.answers` also where it fails."""
    stepper = Stepper(accelerator, network, run)
    done: list[_Step] = []
    failure, started = "", time.perf_counter()
    try:
        with closing(blocks_of(reader, file.path, file.key, file.span, account)) as blocks:
            for block in blocks:
                run.seconds += time.perf_counter() - started
                logits = stepper.step(block.inputs, block.reset)
                reading = Reading(block.start, len(block.inputs), logits, block.whole)
                nothing = np.empty((0, network.inputs), np.uint8)
                done.append(_Step(replace(block, inputs=nothing), reading, *stepper.counts()))
                told(sum(step.reading.inputs for step in done))
                started = time.perf_counter()
    except BaseException as error:
        failure = error.problem if isinstance(error, FdhtError) else "was not read to its end"
        raise
    finally:
        run.times.add(account.times)
        parts = [list(part) for _, part in groupby(done, lambda step: step.block.clip)]
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            damage = account.damage or (failure if last else "")
            run.answers.append(_answer(network, reader, file, account, part, damage, run))


def _answer(
    network: QuantizedNetwork,
    reader: Reader,
    file: ClipFile,
    account: FileAccount,
    steps: Sequence[_Step],
    damage: str,
    run: SourceRun,
) -> ClipAnswer:
    first, readings = steps[0].block, [step.reading for step in steps]
    labelled = account.labelled
    return ClipAnswer(
        source=run.source.name,
        clip=file.name,
        start=first.start if labelled else None,
        label=first.label if labelled else file.label,
        **vars(vote(readings, network.classes, network.logit_format)),
        frames_used=first.used if labelled else account.used,
        frames_there=first.there if labelled else account.there,
        protocol=reader.protocol,
        stride=account.stride,
        time_step=account.time_step,
        damage=damage,
        compared=sum(step.compared for step in steps),
        mismatches=sum(step.mismatches for step in steps),
    )
