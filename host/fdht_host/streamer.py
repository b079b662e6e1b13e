"""Streams clips and files through a board, and holds logits against the reference beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np

from fdht_host.accelerator import Accelerator
from fdht_host.answers import ClipAnswer, Reading, accuracy_of, vote
from fdht_host.file_blocks import blocks_of
from fdht_host.frame_notes import notes_of
from fdht_host.own_clips import ClipFile
from fdht_host.readers import TRAINED, FileAccount, InputBlock, Reader
from fdht_host.run_sources import FILE, Source
from fdht_host.verification import Reference, Verification
from fdht_host.video import VideoTimes
from fdht_models.console import Show
from fdht_models.data import ClipSet
from fdht_models.data.folders import Problem
from fdht_models.errors import ConfigError, DataError, FdhtError
from fdht_models.tensor.quantized import QuantizedNetwork


@dataclass(eq=False)
class SourceRun:
    """A source as far as it was run; grows with every clip.

    Attributes:
        source: what was asked for.
        answers: of its clips, in order.
        problems: clips that could not be read, and why.
        compared: logits compared with the reference.
        mismatches: how many of them differ.
        inputs: network inputs that were run.
        sequences: how often the state was reset.
        seconds: on the host's clock, the comparison left out.
        times: of reading, by phase.
        account: of the first file; None before it and of the test set.
    """

    source: Source
    answers: list[ClipAnswer] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    compared: int = 0
    mismatches: int = 0
    inputs: int = 0
    sequences: int = 0
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


@dataclass(frozen=True, eq=False)
class Streamer:
    """Runs sources on a board, and in the reference beside it.

    Args:
        accelerator: the board.
        network: what it runs.
        reader: how files become blocks.
        verification: what of it the reference computes, too.
        progress: told after each clip or file, of a single file after each block.
    """

    accelerator: Accelerator
    network: QuantizedNetwork
    reader: Reader
    verification: Verification
    progress: Show

    def stream(self, run: SourceRun) -> None:
        """Runs a source: the clips of the test set, or files, each of which is read and dropped.

        Of a folder, files that cannot be read are counted and named; what came before damage is
        used.

        Args:
            run: filled clip by clip, so that something is left where one fails.

        Raises:
            DataError, ConfigError: a file that was named itself cannot be read to its end.
        """
        if run.source.clips is None:
            self._files(run)
        else:
            self._clips(run, run.source.clips)

    def _clips(self, run: SourceRun, clips: ClipSet) -> None:
        """Runs the clips of a set, each from a zero state."""
        reference = Reference(self.network)
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

    def _files(self, run: SourceRun) -> None:
        files, alone = run.source.files, run.source.kind == FILE
        for number, file in enumerate(files):
            account = FileAccount()
            run.account = run.account or account
            before = len(run.answers)
            try:
                self._file(run, file, account)
            except (DataError, ConfigError) as error:
                if alone:
                    raise
                if len(run.answers) == before:
                    reason = error.problem + (f"; {error.remedy}" if error.remedy else "")
                    run.problems.append(Problem(file.name, reason))
            if not alone:
                self.progress(run.source.name, number + 1, len(files))

    def _file(self, run: SourceRun, file: ClipFile, account: FileAccount) -> None:
        """Runs one file; what of it was run is in `run.answers` also where it fails."""
        reference = Reference(self.network)
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

    def _step(self, run: SourceRun, reference: Reference, block: InputBlock) -> _Step:
        """Runs a block on the board, and in the reference where its sequence is verified."""
        started = time.perf_counter()
        if isinstance(block.inputs, np.ndarray):
            logits = self.accelerator.infer(block.inputs, reset=block.reset)
        else:
            logits = np.array(list(self.accelerator.stream(block.inputs, reset=block.reset)))
        run.seconds += time.perf_counter() - started
        # Of one that goes on, the reference must know the beginning.
        run.sequences += block.reset
        verified = self.verification.takes(run.source.name, run.sequences - 1)
        compared = logits.size if verified else 0
        wrong = int(np.count_nonzero(logits != reference.run(block))) if verified else 0
        run.inputs += block.results
        run.compared += compared
        run.mismatches += wrong
        reading = Reading(block.start, block.results, logits[-1], block.whole, verified)
        nothing = np.empty((0, self.network.inputs), np.uint8)
        return _Step(replace(block, inputs=nothing), reading, compared, wrong)

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
