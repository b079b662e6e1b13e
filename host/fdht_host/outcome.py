"""What became of a run: its results so far, what failed, and how that is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from fdht_host.energy.evaluation import EnergyResult
from fdht_host.energy.metered_load import MeteredLoad
from fdht_host.phase_times import PhaseTimes
from fdht_host.report.contents import Phase, throughput_section
from fdht_host.run_sources import TEST
from fdht_host.source_run import SourceRun
from fdht_host.video import VideoTimes
from fdht_models.errors import ConfigError, DataError, FdhtError
from fdht_overlays.manifest import OverlayManifest


@dataclass
class Outcome:
    """What was run so far, and what failed.

    Args:
        runs: the sources, as far as they were run.
        energy: of the board.
        cpu_energy: of the host's CPU.
        load: that ran while a meter recorded which the user named.
        failures: (what failed, why), in order of time.
        ended: the board, or the user, wants no more.
    """

    runs: list[SourceRun] = field(default_factory=list)
    energy: EnergyResult | None = None
    cpu_energy: EnergyResult | None = None
    load: MeteredLoad | None = None
    failures: list[tuple[str, BaseException]] = field(default_factory=list)
    ended: bool = False

    @property
    def tests(self) -> SourceRun | None:
        """The test set, as far as it was run."""
        return next((run for run in self.runs if run.source.kind == TEST), None)

    def failed(self, part: str, error: BaseException) -> None:
        """Takes note of a failure; after most of them nothing else can be run."""
        self.failures.append((part, error))
        self.ended = self.ended or not isinstance(error, ConfigError | DataError)

    def optional(
        self, part: str, work: Callable[[], EnergyResult], asked: bool = False
    ) -> EnergyResult | None:
        """A part without which the report is worth having: it may fail in any way.

        Args:
            part: its name.
            work: what does it.
            asked: the user asked for it by name, so that the run has failed without it.
        """
        if self.ended:
            return None
        try:
            return work()
        except (Exception, KeyboardInterrupt) as error:
            if asked or isinstance(error, KeyboardInterrupt):
                self.failed(part, error)
            return EnergyResult("unmeasured", reason(error))


def tell(error: BaseException, directory: Path) -> NoReturn:
    """Raises what ended the run, with where the results are."""
    kept = f"what was run is in {directory / 'report.html'}"
    if isinstance(error, FdhtError):
        raise error.moved(remedy=kept) from error
    if isinstance(error, KeyboardInterrupt):
        raise KeyboardInterrupt(kept) from error
    raise error


def reason(error: BaseException) -> str:
    """Why something failed, for the report."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return str(error) if isinstance(error, FdhtError) else f"{type(error).__name__}: {error}"


def sparse_frames(manifest: OverlayManifest, times: PhaseTimes) -> dict[str, Any] | None:
    """What the frames that were run meant to a core of sparse frames; None: it takes dense ones.

    Returns:
        Mean words of a frame and those of a full one, headers and bitmaps among them; and, modelled
        from the mean, clocks of a frame and the share of multipliers that works.
    """
    form, pace = manifest.input.sparse_format, manifest.sparse_pace
    if form is None or pace is None or not times.frames:
        return None
    return {
        "words_per_frame": times.words / times.frames,
        "words_of_a_full_frame": form.most_words,
        "cycles_per_frame": pace.cycles(times.frames, times.words) / times.frames,
        "activity": pace.activity(times.frames, times.words),
        "kind": pace.kind,
    }


def throughput(times: PhaseTimes, done: Outcome) -> dict[str, Any]:
    """Times of the host's phases and of all that was streamed."""
    phases = {
        name: Phase(getattr(times, name), times.frames)
        for name in ("pack", "transfer", "compute", "unpack")
    }
    reading = VideoTimes()
    for run in done.runs:
        reading.add(run.times)
    phases["read"] = Phase(reading.read_seconds, reading.read_inputs)
    phases["decode"] = Phase(reading.decode_seconds, reading.frames)
    phases["resize"] = Phase(reading.resize_seconds, reading.resized)
    phases["feature"] = Phase(reading.feature_seconds, reading.features)
    compared = any(run.compared for run in done.runs)
    overall = Phase(
        sum(run.seconds for run in done.runs),
        sum(run.inputs for run in done.runs),
        note="with the integer reference beside it" if compared else "",
    )
    return {**throughput_section(phases, overall), "overlap": _overlap(times, reading, done)}


def _overlap(times: PhaseTimes, reading: VideoTimes, done: Outcome) -> dict[str, Any] | None:
    """Seconds of what may go on side by side, and how the whole compares with the slowest of it.

    Returns:
        `decoding` of streams, `reading` (all else that is done to files), `board` (packing and
        transfers among it), `reference`; `slowest`: which; `whole`; `ratio`: whole / slowest.
        None: nothing was run.
    """
    stages = {
        "decoding": reading.decode_seconds,
        "reading": reading.read_seconds + reading.resize_seconds + reading.feature_seconds,
        "board": times.pack + times.transfer + times.compute + times.unpack,
        "reference": sum(run.reference_seconds for run in done.runs),
    }
    slowest, whole = max(stages, key=stages.__getitem__), sum(run.seconds for run in done.runs)
    if not stages[slowest]:
        return None
    return {**stages, "whole": whole, "slowest": slowest, "ratio": whole / stages[slowest]}
