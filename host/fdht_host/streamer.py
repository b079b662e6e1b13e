"""Streams clips and files through a board and holds every logit against the reference."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_host.accelerator import Accelerator
from fdht_host.answers import ClipAnswer, Reading, accuracy_of, vote
from fdht_host.file_blocks import blocks_of
from fdht_host.frame_notes import notes_of
from fdht_host.own_clips import ClipFile
from fdht_host.readers import TRAINED, FileAccount, InputBlock, Reader
from fdht_host.run_sources import FILE, Source
from fdht_host.video import VideoTimes
from fdht_models.console import Show
from fdht_models.data import ClipSet
from fdht_models.data.folders import Problem
from fdht_models.errors import ConfigError, DataError, FdhtError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel


@dataclass(eq=False)
class SourceRun:
    """A source as far as it was run; grows with every clip.

    Attributes:
        source: what was asked for.
        context: of the core, in which it runs.
        answers: of its clips, in order.
        problems: clips that could not be read, and why.
        compared: logits compared with the reference.
        mismatches: how many of them differ.
        inputs: network inputs that were run.
        seconds: on the host's clock, the comparison left out.
        times: of reading, by phase.
        account: of the first file; None before it and of the test set.
    """

    source: Source
    context: int = 0
    answers: list[ClipAnswer] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    compared: int = 0
    mismatches: int = 0
    inputs: int = 0
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
            "inputs": self.inputs,
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
            "inputs": self.inputs,
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
                "inputs": block.inputs,
                "predicted": block.predicted,
                "label": answer.label,
            }
            start += block.inputs


@dataclass(frozen=True)
class _Step:
    """A block that was run, without its inputs: a file may be longer than the memory."""

    block: InputBlock
    reading: Reading
    compared: int
    mismatches: int


class _Reference:
    """The integer reference beside the board; of raw frames it computes the feature first."""

    def __init__(self, network: QuantizedNetwork) -> None:
        self._model, self._picture = ReferenceModel(network), network.preprocessing.picture
        self._last: NDArray[np.uint8] | None = None

    def run(self, block: InputBlock) -> NDArray[np.int64]:
        """Logits of a block that goes on from the one before, or begins anew."""
        inputs = np.asarray(block.inputs)
        if block.reset:
            self._model.reset()
        if block.raw:
            assert self._picture is not None and (block.reset or self._last is not None)
            frames = inputs if block.reset else np.concatenate([[self._last], inputs])
            self._last = frames[-1].copy()
            inputs = self._picture.features(frames)
        return self._model.run(inputs)


@dataclass(frozen=True, eq=False)
class Streamer:
    """Runs sources on a board, and in the reference beside it.

    Args:
        accelerator: the board.
        network: what it runs.
        reader: how files become blocks.
        progress: told after each clip or file, of a single file after each block.
    """

    accelerator: Accelerator
    network: QuantizedNetwork
    reader: Reader
    progress: Show

    def steps(self, run: SourceRun) -> Generator[None, None, None]:
        """Runs a source: the clips of the test set, or files, each of which is read and dropped.

        Of a folder, files that cannot be read are counted and named; what came before damage is
        used.

        Args:
            run: filled clip by clip, so that something is left where one fails.

        Yields:
            After each call of the core: others may use it then, in another context.

        Raises:
            DataError, ConfigError: a file that was named itself cannot be read to its end.
        """
        if run.source.clips is None:
            yield from self._files(run)
        else:
            yield from self._clips(run, run.source.clips)

    def _clips(self, run: SourceRun, clips: ClipSet) -> Generator[None, None, None]:
        """Runs the clips of a set, each from a zero state."""
        reference = _Reference(self.network)
        for number, (frames, label) in enumerate(zip(clips.frames, clips.labels, strict=True)):
            block = InputBlock(frames, True, None, raw=self.reader.raw)
            step = self._step(run, reference, block)
            self._answer(
                run,
                [step],
                clip=f"{run.source.name} {number}",
                start=None,
                label=self.network.classes[int(label)],
                frames_used=None,
                frames_there=None,
                protocol=TRAINED,
                stride=None,
                time_step=clips.time_step,
                damage="",
            )
            self.progress("test clips", number + 1, len(clips.labels))
            yield

    def _files(self, run: SourceRun) -> Generator[None, None, None]:
        files, alone = run.source.files, run.source.kind == FILE
        for number, file in enumerate(files):
            account = FileAccount()
            run.account = run.account or account
            before = len(run.answers)
            try:
                yield from self._file(run, file, account)
            except (DataError, ConfigError) as error:
                if alone:
                    raise
                if len(run.answers) == before:
                    reason = error.problem + (f"; {error.remedy}" if error.remedy else "")
                    run.problems.append(Problem(file.name, reason))
            if not alone:
                self.progress(run.source.name, number + 1, len(files))

    def _file(
        self, run: SourceRun, file: ClipFile, account: FileAccount
    ) -> Generator[None, None, None]:
        """Runs one file; what of it was run is in `run.answers` also where it fails."""
        reference = _Reference(self.network)
        done: list[_Step] = []
        failure, started = "", time.perf_counter()
        try:
            with closing(blocks_of(self.reader, file.path, file.key, file.span, account)) as blocks:
                for block in blocks:
                    run.seconds += time.perf_counter() - started
                    done.append(self._step(run, reference, block))
                    if run.source.kind == FILE:
                        inputs = sum(step.reading.inputs for step in done)
                        declared = account.info.get("frames_declared") or 0
                        self.progress(file.path.name, inputs, declared)
                    yield
                    started = time.perf_counter()
        except BaseException as error:
            failure = error.problem if isinstance(error, FdhtError) else "was not read to its end"
            raise
        finally:
            run.times.add(account.times)
            parts = [list(part) for _, part in groupby(done, lambda step: step.block.clip)]
            for number, part in enumerate(parts):
                first, labelled = part[0].block, account.labelled
                last = number == len(parts) - 1
                self._answer(
                    run,
                    part,
                    clip=file.name,
                    start=first.start if labelled else None,
                    label=first.label if labelled else file.label,
                    frames_used=first.used if labelled else account.used,
                    frames_there=first.there if labelled else account.there,
                    protocol=self.reader.protocol,
                    stride=account.stride,
                    time_step=account.time_step,
                    damage=account.damage or (failure if last else ""),
                )

    def _step(self, run: SourceRun, reference: _Reference, block: InputBlock) -> _Step:
        """Runs a block on the board and in the reference, and compares all of their logits."""
        started = time.perf_counter()
        if isinstance(block.inputs, np.ndarray):
            logits = self.accelerator.infer(block.inputs, reset=block.reset, context=run.context)
        else:
            frames = self.accelerator.stream(block.inputs, reset=block.reset, context=run.context)
            logits = np.array(list(frames))
        run.seconds += time.perf_counter() - started
        wrong = int(np.count_nonzero(logits != reference.run(block)))
        run.inputs += block.results
        run.compared += logits.size
        run.mismatches += wrong
        reading = Reading(block.start, block.results, logits[-1], block.whole)
        nothing = np.empty((0, self.network.inputs), np.uint8)
        return _Step(replace(block, inputs=nothing), reading, logits.size, wrong)

    def _answer(self, run: SourceRun, steps: Sequence[_Step], **facts: Any) -> None:
        """Notes what the network says of a clip, whose blocks these are."""
        readings = [step.reading for step in steps]
        answer = ClipAnswer(
            source=run.source.name,
            **vars(vote(readings, self.network.classes, self.network.logit_format)),
            compared=sum(step.compared for step in steps),
            mismatches=sum(step.mismatches for step in steps),
            **facts,
        )
        run.answers.append(answer)
