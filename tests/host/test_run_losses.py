"""What fails late takes nothing away from what was run until then."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fdht
import fdht_host.file_blocks
import fdht_host.run
from fdht.cli.app import INTERRUPTED
from fdht_host.own_clips import ClipFile
from fdht_host.readers import TRAINED, reader_of
from fdht_host.run_sources import FILE, Source
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


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    reference_as_core(monkeypatch)
    return write_build(tmp_path)


def run(directory: Path, *sources: Path, energy: bool = False) -> int:
    given = [word for source in sources for word in ("--source", str(source))]
    options = ["--build", str(directory.parent), "--clip-frames", "5", *given]
    return fdht.main(["run", "tiny-net", *options, *([] if energy else ["--no-energy"])])


def reports(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(directory.glob("run/*/report.json"))]


def test_a_source_that_cannot_be_read_is_refused_before_anything_runs(
    directory, tmp_path, capsys, monkeypatch
):
    def opened(*_: Any) -> None:
        raise AssertionError("the board was opened")

    monkeypatch.setattr(fdht_host.run.Accelerator, "open", opened)
    good, text = write_video(tmp_path / "good.mkv"), tmp_path / "text.mkv"
    text.write_text("no video")
    labelled = write_video(tmp_path / "labelled.mkv", labelled=True)
    with labelled.open("ab") as stream:
        stream.write(b"more")
    for bad in (tmp_path / "none.mkv", text, labelled):
        assert run(directory, good, bad) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (directory / "run").exists()


def test_a_source_of_another_size_is_refused_before_anything_runs(directory, tmp_path, capsys):
    path = write_video(tmp_path / "v.mkv")
    options = ["--build", str(tmp_path), "--clip-frames", "5", "--no-energy", "--no-resize"]
    assert fdht.main(["run", "tiny-net", *options, "--source", str(path)]) == 2
    assert "the model wants 5x4" in capsys.readouterr().err
    assert not (directory / "run").exists()


def test_damage_in_the_middle_leaves_what_was_streamed(directory, tmp_path, capsys):
    first = write_video(tmp_path / "first.mkv")
    broken = cut_short(write_video(tmp_path / "broken.mkv", 400))
    last = write_video(tmp_path / "last.mkv")
    assert run(directory, first, broken, last) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "broken.mkv" in error
    assert "what was run is in" in error
    (report,) = reports(directory)
    clips = report["clips"]
    assert [clip["clip"] for clip in clips] == ["first.mkv", "broken.mkv", "last.mkv"]
    assert [len(clip["blocks"]) for clip in clips][::2] == [8, 8]
    assert "decode" in clips[1]["damage"] and clips[0]["damage"] == clips[2]["damage"] == ""
    # Every frame before the damage is classified: the first has none to be compared with.
    of_clips = [sum(block["inputs"] for block in clip["blocks"]) for clip in clips]
    assert 0 < of_clips[1] == clips[1]["frames_there"] - 1 < 399
    features = sum(of_clips)
    assert report["equality"]["reference_board"] == {"compared": 3 * features, "mismatches": 0}
    (failure,) = report["failures"]
    assert failure["part"] == str(broken)
    assert "broken.mkv" in failure["reason"]
    page = next(directory.glob("run/*/report.html")).read_text()
    assert "The run did not come to its end" in page


def test_a_clip_that_breaks_off_has_a_result_and_no_label(directory, tmp_path):
    """Four clips of ten frames, of which the file holds a part: what is there is classified."""
    path = write_video(tmp_path / "labelled.mkv", labelled=True)
    found = SourceRun(Source(str(path), FILE, files=(ClipFile(path, path.name, path.name),)))
    accelerated, network = [], NETWORK

    def infer(block: Any, reset: bool, context: int) -> Any:
        accelerated.append((len(block), reset))
        return ReferenceModel(network).run(block)

    pictures = fdht_host.file_blocks.decode

    def breaks(*arguments: Any, **settings: Any) -> Any:
        for number, picture in enumerate(pictures(*arguments, **settings)):
            if number == 25:
                raise DataError("breaks off", field="frame 25")
            yield picture

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fdht_host.file_blocks, "decode", breaks)
        reader = reader_of(network.preprocessing, TRAINED, 0, True)
        with pytest.raises(DataError, match="breaks off"):
            accelerator: Any = SimpleNamespace(infer=infer)
            everything = Verification(1.0)
            for _ in Streamer(accelerator, network, reader, everything, lambda *_: None).steps(
                found
            ):
                pass
    assert accelerated == [(9, True), (9, True), (4, True)]
    assert [answer.label is None for answer in found.answers] == [False, False, True]
    assert [answer.damage for answer in found.answers] == ["", "", "breaks off"]
    assert found.inputs == 22


def test_a_source_without_a_name_is_refused(directory, capsys):
    for name in ("", ".", "/"):
        options = ["--build", str(directory.parent), "--no-energy", "--source", name]
        assert fdht.main(["run", directory.name, *options]) == 2
        error = capsys.readouterr().err
        assert "Traceback" not in error and error.startswith("fdht: ") and error.count("\n") == 1


def test_energy_that_fails_is_a_section_that_says_why(directory, tmp_path, monkeypatch):
    def fails(*_: Any, **__: Any) -> None:
        raise DeviceError("does not answer", field="core")

    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such counter")

    monkeypatch.setattr(fdht_host.run, "board_energy", fails)
    monkeypatch.setattr(fdht_host.run, "cpu_energy", breaks)
    assert run(directory, write_video(tmp_path / "v.mkv"), energy=True) == 0
    (report,) = reports(directory)
    assert len(report["video"]["predictions"]) == 8
    energy, cpu = report["energy"], report["cpu_energy"]
    assert (energy["kind"], energy["explanation"]) == ("unmeasured", "core: does not answer")
    assert (cpu["kind"], cpu["explanation"]) == ("unmeasured", "RuntimeError: no such counter")


def test_an_interruption_of_the_energy_windows_leaves_the_report(
    directory, tmp_path, monkeypatch, capsys
):
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    def unwanted(*_: Any, **__: Any) -> None:
        raise AssertionError("went on")

    monkeypatch.setattr(fdht_host.run, "board_energy", interrupted)
    monkeypatch.setattr(fdht_host.run, "cpu_energy", unwanted)
    assert run(directory, write_video(tmp_path / "v.mkv"), energy=True) == INTERRUPTED
    (report,) = reports(directory)
    assert report["energy"]["explanation"] == "interrupted"
    assert report["failures"] == [{"part": "energy", "reason": "interrupted"}]
    assert report["cpu_energy"]["kind"] == "not run"
    assert "what was run is in" in capsys.readouterr().err


def test_an_interruption_while_streaming_leaves_what_was_streamed(directory, tmp_path):
    first, second = (write_video(tmp_path / name) for name in ("first.mkv", "second.mkv"))
    settings = fdht_host.run.RunSettings([str(first), str(second)], clip_frames=5)

    def progress(label: str, done: int, total: int) -> None:
        if (label, done) == ("second.mkv", 10):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="what was run is in"):
        run_built(directory, settings, progress)
    (report,) = reports(directory)
    assert len(report["video"]["predictions"]) == 8
    assert [len(clip["blocks"]) for clip in report["clips"]] == [8, 2]
    assert report["clips"][1]["damage"] == "was not read to its end"
    assert report["energy"]["kind"] == "not run"


def test_what_fails_before_the_first_result_leaves_no_report(directory, tmp_path, monkeypatch):
    def fails(*_: Any, **__: Any) -> None:
        raise DeviceError("does not answer", field="core")

    monkeypatch.setattr(fdht_host.run.Accelerator, "infer", fails)
    monkeypatch.setattr(fdht_host.run.Accelerator, "self_test", lambda *_: 0)
    assert run(directory, write_video(tmp_path / "v.mkv")) == 2
    assert reports(directory) == []


def test_two_runs_in_one_second_have_a_report_each(directory, tmp_path, monkeypatch):
    class Stopped(fdht_host.run.datetime):
        """A clock that stands still."""

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls(2026, 11, 28, 10, 0, 0, tzinfo=tz)

    monkeypatch.setattr(fdht_host.run, "datetime", Stopped)
    for name in ("first.mkv", "second.mkv"):
        assert run(directory, write_video(tmp_path / name)) == 0
    assert {report["video"]["file"] for report in reports(directory)} == {"first.mkv", "second.mkv"}
    names = {path.name for path in (directory / "run").iterdir()}
    assert names == {"20261128T100000Z", "20261128T100000Z-2"}


def test_a_name_that_is_markup_or_no_text_is_only_a_name(directory, tmp_path):
    path = write_video(tmp_path / "plain.mkv").rename(tmp_path / "[red]$x_{$\udcff.mkv")
    assert run(directory, path) == 0
    (report,) = reports(directory)
    assert report["video"]["file"] == "[red]$x_{$\\udcff.mkv"


def test_a_place_that_cannot_be_written_is_told_before_anything_runs(directory, tmp_path, capsys):
    (directory / "run").write_text("a file")
    assert run(directory, write_video(tmp_path / "v.mkv")) == 2
    assert "run/report.json: cannot be written" in capsys.readouterr().err
