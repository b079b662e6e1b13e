"""What was run of a source so far, and what the report says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fdht_host.answers import ClipAnswer, accuracy_of
from fdht_host.frame_notes import notes_of
from fdht_host.readers import FileAccount, Reader
from fdht_host.run_sources import FILE, Source
from fdht_host.video import VideoTimes
from fdht_models.data.folders import Problem
from fdht_models.tensor.quantized import QuantizedNetwork


@dataclass(eq=False)
class SourceRun:
    """A source as far as it was run; grows with every clip.

    Attributes:
        source: what was asked for.
        context: of the core, in which it runs.
        answers: of its clips, in order.
        problems: clips that could not be read, and why.
        inputs: network inputs that were run.
        sequences: how often the state was reset.
        seconds: on the host's clock, from the first thing asked for to the last result; phases
            overlap.
        reference_seconds: that the comparison took, beside the rest.
        times: of reading, by phase.
        account: of the first file; None before it and of the test set.
    """

    source: Source
    context: int = 0
    answers: list[ClipAnswer] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    inputs: int = 0
    sequences: int = 0
    seconds: float = 0.0
    reference_seconds: float = 0.0
    times: VideoTimes = field(default_factory=VideoTimes)
    account: FileAccount | None = None

    def __post_init__(self) -> None:
        self.problems += self.source.problems

    @property
    def compared(self) -> int:
        """Logits compared with the reference."""
        return sum(answer.compared for answer in self.answers)

    @property
    def mismatches(self) -> int:
        """How many of them differ."""
        return sum(answer.mismatches for answer in self.answers)

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
