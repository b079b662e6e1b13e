"""Streams clips and files through a board, and holds logits against the reference beside it.

Files are read in a thread, a few blocks ahead of the board; what is to be compared the reference
computes in another. The board is driven from the caller's thread alone.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import numpy as np

from fdht_host.accelerator import Accelerator
from fdht_host.answers import ClipAnswer, Reading, vote
from fdht_host.comparisons import Comparison, Comparisons
from fdht_host.file_reads import FileRead, reads_of
from fdht_host.own_clips import ClipFile
from fdht_host.readers import TRAINED, FileAccount, InputBlock, Reader
from fdht_host.run_sources import FILE
from fdht_host.source_run import SourceRun
from fdht_host.verification import Verification
from fdht_models.console import Show
from fdht_models.data import ClipSet
from fdht_models.data.folders import Problem
from fdht_models.errors import ConfigError, DataError, FdhtError
from fdht_models.tensor.quantized import QuantizedNetwork

#: Clips that wait for their comparison at most.
_MOST_PENDING = 4


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

    def steps(self, run: SourceRun) -> Generator[None, None, None]:
        """Runs a source: the clips of the test set, or files, each of which is read and dropped.

        Of a folder, files that cannot be read are counted and named; what came before damage is
        used.

        Args:
            run: filled clip by clip, so that something is left where one fails.

        Yields:
            After each call of the core: others may use it then, in another context. Their time is
            no part of the run's.

        Raises:
            DataError, ConfigError: a file that was named itself cannot be read to its end.
        """
        started, clips = time.perf_counter(), run.source.clips
        with Comparisons(self.network) as comparisons:
            work = _Work(self, run, comparisons)
            try:
                with closing(work.run_files() if clips is None else work.run_clips(clips)) as calls:
                    for _ in calls:
                        run.seconds += time.perf_counter() - started
                        try:
                            yield
                        finally:
                            started = time.perf_counter()
            finally:
                try:
                    work.settle(0)
                finally:
                    run.seconds += time.perf_counter() - started


def _of_file(reads: Iterator[FileRead], place: int) -> Iterator[FileRead]:
    """The reads of one file; what is left of one before it, whose run failed, is passed over."""
    return (read for read in reads if read.place == place)


@dataclass(frozen=True)
class _Step:
    """A block that was run, without its inputs: a file may be longer than the memory.

    Attributes:
        comparison: of its logits; None: it is not verified.
    """

    block: InputBlock
    reading: Reading
    comparison: Comparison | None


@dataclass(frozen=True)
class _Pending:
    """A clip that was run, and may not have been compared yet."""

    steps: Sequence[_Step]
    facts: dict[str, Any]

    def done(self) -> bool:
        """True if nobody has to wait for it."""
        return all(step.comparison is None or step.comparison.done for step in self.steps)


@dataclass(eq=False)
class _Work:
    """One source under way.

    Attributes:
        pending: clips by their number, which is also the place of their answer. So wherever Ctrl-C
            comes, none is answered twice.
    """

    by: Streamer
    run: SourceRun
    comparisons: Comparisons
    pending: dict[int, _Pending] = field(default_factory=dict)
    ran: int = 0

    def run_clips(self, clips: ClipSet) -> Generator[None, None, None]:
        """Runs the clips of a set, each from a zero state; yields after each call."""
        for number, (frames, label) in enumerate(zip(clips.frames, clips.labels, strict=True)):
            step = self._step(InputBlock(frames, True, None, raw=self.by.reader.raw))
            self._answer(
                [step],
                clip=f"{self.run.source.name} {number}",
                start=None,
                label=self.by.network.classes[int(label)],
                frames_used=None,
                frames_there=None,
                protocol=TRAINED,
                stride=None,
                time_step=clips.time_step,
                damage="",
            )
            self.by.progress("test clips", number + 1, len(clips.labels))
            yield

    def run_files(self) -> Generator[None, None, None]:
        """Runs files, and yields after each call; a bad one among several is counted and named."""
        run, files = self.run, self.run.source.files
        alone = run.source.kind == FILE
        with reads_of(self.by.reader, files) as reads:
            for number, file in enumerate(files):
                account = FileAccount()
                run.account = run.account or account
                done: list[_Step] = []
                try:
                    yield from self._file(file, _of_file(reads, number), account, done)
                except (DataError, ConfigError) as error:
                    if alone:
                        raise
                    if not done:
                        reason = error.problem + (f"; {error.remedy}" if error.remedy else "")
                        run.problems.append(Problem(file.name, reason))
                if not alone:
                    self.by.progress(run.source.name, number + 1, len(files))

    def _file(
        self, file: ClipFile, reads: Iterator[FileRead], account: FileAccount, done: list[_Step]
    ) -> Generator[None, None, None]:
        """Runs one file; what of it was run is in `run.answers` also where it fails."""
        failure = ""
        try:
            for read in reads:
                vars(account).update(vars(read.account))
                if read.failure is not None:
                    raise read.failure
                if read.block is None:
                    break
                done.append(self._step(read.block))
                if self.run.source.kind == FILE:
                    inputs = sum(step.reading.inputs for step in done)
                    declared = account.info.get("frames_declared") or 0
                    self.by.progress(file.path.name, inputs, declared)
                yield
        except BaseException as error:
            failure = error.problem if isinstance(error, FdhtError) else "was not read to its end"
            raise
        finally:
            self.run.times.add(account.times)
            parts = [list(part) for _, part in groupby(done, lambda step: step.block.clip)]
            for number, part in enumerate(parts):
                first, labelled = part[0].block, account.labelled
                last = number == len(parts) - 1
                self._answer(
                    part,
                    clip=file.name,
                    start=first.start if labelled else None,
                    label=first.label if labelled else file.label,
                    frames_used=first.used if labelled else account.used,
                    frames_there=first.there if labelled else account.there,
                    protocol=self.by.reader.protocol,
                    stride=account.stride,
                    time_step=account.time_step,
                    damage=account.damage or (failure if last else ""),
                )

    def _step(self, block: InputBlock) -> _Step:
        """Runs a block on the board, and lets the reference compare it where it is verified."""
        run, accelerator = self.run, self.by.accelerator
        if isinstance(block.inputs, np.ndarray):
            logits = accelerator.infer(block.inputs, reset=block.reset, context=run.context)
        else:
            frames = accelerator.stream(block.inputs, reset=block.reset, context=run.context)
            logits = np.array(list(frames))
        # Of one that goes on, the reference must know the beginning.
        run.sequences += block.reset
        verified = self.by.verification.takes(run.source.name, run.sequences - 1)
        comparison = self.comparisons.begin(block, logits) if verified else None
        run.inputs += block.results
        reading = Reading(block.start, block.results, logits[-1], block.whole)
        nothing = np.empty((0, self.by.network.inputs), np.uint8)
        return _Step(replace(block, inputs=nothing), reading, comparison)

    def _answer(self, steps: Sequence[_Step], **facts: Any) -> None:
        """Notes what the network says of a clip, whose blocks these are."""
        self.pending[self.ran] = _Pending(steps, facts)
        self.ran += 1
        self.settle(_MOST_PENDING)

    def settle(self, most: int) -> None:
        """Completes answers, in order: those that have been compared, and all but `most`."""
        answers = self.run.answers
        while (one := self.pending.get(len(answers))) is not None:
            if self.ran - len(answers) <= most and not one.done():
                return
            answers.append(self._completed(one))
            self.pending.pop(len(answers) - 1)

    def _completed(self, pending: _Pending) -> ClipAnswer:
        network = self.by.network
        readings, compared, mismatches = [], 0, 0
        for step in pending.steps:
            readings.append(replace(step.reading, verified=step.comparison is not None))
            if step.comparison is not None:
                logits, wrong = step.comparison.completed()
                compared, mismatches = compared + logits, mismatches + wrong
                self.run.reference_seconds += step.comparison.seconds
        return ClipAnswer(
            source=self.run.source.name,
            **vars(vote(readings, network.classes, network.logit_format)),
            compared=compared,
            mismatches=mismatches,
            **pending.facts,
        )
