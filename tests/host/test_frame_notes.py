"""Notes on how a source's frames were chosen, and the lines of a single stream."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from fdht.cli import run_lines
from fdht_host.frame_notes import notes_of
from fdht_host.readers import TRAINED, Reader
from fdht_models.preprocessing import Picture, Preprocessing, Sampling
from tests.host.sample_answers import answer, source_of


def reader(protocol: str) -> Reader:
    sampling = Sampling(protocol, 9, 4 if protocol == "stride" else 1, time_step=0.12)
    return Reader(Preprocessing(sampling, picture=Picture(4, 5)), TRAINED, 9)


@pytest.mark.parametrize(
    ("protocol", "step", "told"),
    [
        ("stride", 0.06, True),  # twice the rate
        ("stride", 0.24, True),
        ("stride", 0.1, False),  # 30 frames a second in place of 25
        ("stride", None, False),
        ("uniform", 0.06, False),  # spread over clips of any length, in training as well
    ],
)
def test_a_file_of_another_rate_is_told(protocol: str, step: float | None, told: bool) -> None:
    own = reader(protocol)
    found = answer("a.mp4", None, (3, 1), protocol=TRAINED, time_step=step)
    notes = notes_of(own, [found], [], own.preprocessing.sampling)
    assert any("apart, trained on 120 ms" in note for note in notes) is told


def test_a_single_stream_shows_its_blocks_and_several_do_not() -> None:
    stream = answer("long.mp4", None, *[(200, 1)] * 2, (1, 200), *[(200, 1)] * 30)
    report = {"sources": [source_of([stream])], "clips": [asdict(stream)]}
    lines = list(run_lines._answer_lines(report))
    assert lines[0].split() == ["long.mp4", "left", *lines[0].split()[2:]]
    assert [line.split()[:4] for line in lines[1:4]] == [
        ["from", "frame", "0", "left"],
        ["from", "frame", "9", "left"],
        ["from", "frame", "18", "right"],
    ]
    assert lines[-1] == "  ... and 13 more blocks in predictions.jsonl"
    other = answer("short.mp4", None, (200, 1))
    report = {"sources": [source_of([stream, other])], "clips": [asdict(stream), asdict(other)]}
    assert len(list(run_lines._answer_lines(report))) == 2
