"""What `fdht run` tells people of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

#: Clips and classes that the console shows; the report has all.
_SHOWN_CLIPS, _SHOWN_CLASSES = 20, 20
#: Characters of a name in a column.
_NAME = 40


def report_lines(directory: Path, report: Mapping[str, Any]) -> list[str]:
    """The head of a report for people."""
    lines = [*_answer_lines(report)]
    if report["accuracy"]["quantized"] is not None:  # of the test set
        lines += _test_lines(report["accuracy"])
    board = report["equality"]["reference_board"]
    if board["compared"] is not None:
        lines.append(
            f"{'reference = board':<30}{board['compared']} integers, "
            f"{board['mismatches']} mismatches  counted"
        )
    if (verification := report["equality"]["verification"])["asked"] != "all":
        lines.append(verification["statement"])
    if report["provenance"]["weights"]["file"] is not None:
        lines.append(f"{'weights loaded from':<30}{report['provenance']['weights']['file']}")
    overall = report["throughput"]["overall"]
    if overall["frames_per_second"] is not None:
        lines.append(
            f"{'host path':<30}{overall['frames_per_second']:.0f} frames/s  {overall['kind']} "
            f"{overall['note']}".rstrip()
        )
    overlap = report["throughput"].get("overlap")
    if overlap is not None:
        lines.append(
            f"{'whole / slowest phase':<30}{overlap['ratio']:.2f} ({overlap['slowest']})  measured"
        )
    sparse = report["latency"].get("sparse")
    if sparse is not None:
        lines.append(
            f"{'sparse frames':<30}{sparse['words_per_frame']:,.0f} of "
            f"{sparse['words_of_a_full_frame']:,} words on average  counted; "
            f"{sparse['cycles_per_frame']:,.0f} cycles a frame  {sparse['kind']}"
        )
    lines += [_energy_line("board", report["energy"]), _energy_line("CPU", report["cpu_energy"])]
    if not report["run_on_hardware"]:
        lines.append("not run on hardware: the board is simulated")
    lines.append(f"report: {directory / 'report.html'}")
    return lines


def _answer_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Sources with labels, each with its accuracy, and the answers to clips, as many as fit."""
    others = {one["source"]: one for one in report["sources"] if one["kind"] != "test"}
    for name, one in others.items():
        if one["accuracy"] is not None:
            yield from _labelled_lines(name, one["accuracy"], one["accuracy"]["accuracy"])
    clips = [clip for clip in report["clips"] if clip["source"] in others]
    width = max((len(_clip_name(clip)) for clip in clips[:_SHOWN_CLIPS]), default=0)
    classes = max((len(clip["predicted"]) for clip in clips[:_SHOWN_CLIPS]), default=0)
    for clip in clips[:_SHOWN_CLIPS]:
        name = _clip_name(clip).ljust(max(width, 28))
        yield f"{name}  {clip['predicted']:<{classes}}  {_told(clip)}".rstrip()
    if len(clips) == 1:
        yield from _block_lines(clips[0])
    hidden = len(clips) - _SHOWN_CLIPS
    if hidden > 0:
        yield f"... and {hidden} more clips, all of them in predictions.jsonl beside the report"


def _block_lines(clip: Mapping[str, Any]) -> Iterator[str]:
    """What each block of a stream says, as many as fit."""
    blocks = clip["blocks"]
    if len(blocks) < 2:
        return
    for block in blocks[:_SHOWN_CLIPS]:
        name = f"  from frame {block['start']}" if block["start"] is not None else "  block"
        yield f"{name:<28}  {block['predicted']}  {block['probability']:6.1%}"
    if len(blocks) > _SHOWN_CLIPS:
        yield f"  ... and {len(blocks) - _SHOWN_CLIPS} more blocks in predictions.jsonl"


def _test_lines(accuracy: Mapping[str, Any]) -> Iterator[str]:
    """This run's accuracy on the test set, and apart from it what training measured, which may be
    of other clips and of more.
    """
    from fdht_models.training.comparison import accuracy_lines

    yield from _labelled_lines("quantised network, this run", accuracy, accuracy["quantized"])
    # `chance` is that of this run's clips, and told above.
    trained = accuracy_lines({**accuracy, "quantized": None, "chance": None})
    if trained:
        compared = accuracy.get("comparison")
        on = f", on {compared['clips']:,} test clips" if compared else ""
        yield f"in training{on}:"
        yield from trained


def _labelled_lines(name: str, found: Mapping[str, Any], share: float) -> Iterator[str]:
    yield (
        f"{_short(name):<30}{share:7.1%}  measured "
        f"({found['right']} of {found['clips']} clips right; chance {found['chance']:.1%}, counted)"
    )
    yield from _class_lines(found["per_class"])


def _class_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Figures of each class, as many as fit."""
    if not rows:
        return
    width = max(28, *(len(row["class"]) for row in rows[:_SHOWN_CLASSES]))
    yield f"  {'class':<{width}}   clips  recall  precision  most often taken for"
    for row in rows[:_SHOWN_CLASSES]:
        mistake = "" if row["taken_for"] is None else "{} ({})".format(*row["taken_for"])
        yield (
            f"  {row['class']:<{width}}{row['clips']:>8}{_share(row['recall']):>8}"
            f"{_share(row['precision']):>11}  {mistake}"
        ).rstrip()
    if len(rows) > _SHOWN_CLASSES:
        yield f"  ... and {len(rows) - _SHOWN_CLASSES} more classes in the report"


def _told(clip: Mapping[str, Any]) -> str:
    """What a line tells of a clip behind the class."""
    parts = [f"{clip['probability']:6.1%}"]
    if clip["label"] is not None:
        right = clip["label"] == clip["predicted"]
        parts.append("right" if right else f"wrong: {clip['label']}")
    if len(clip["blocks"]) > 1:
        voting = sum(block["votes"] for block in clip["blocks"])
        parts.append(f"{clip['agreed']} of {voting} blocks agree")
    if clip["damage"]:
        parts.append("up to its damage")
    return "  ".join(parts)


def _clip_name(clip: Mapping[str, Any]) -> str:
    start = "" if clip["start"] is None else f" from frame {clip['start']}"
    return _short(clip["clip"]) + start


def _short(name: str) -> str:
    """A name that fits its column: of a longer one, the end, which tells files apart."""
    return name if len(name) <= _NAME else "..." + name[3 - _NAME :]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def source_notes(report: Mapping[str, Any]) -> list[str]:
    """What the user should know of the sources and of a meter of his, each sentence once."""
    found = [
        f"{_short(source['source'])}: {note}"
        for source in report["sources"]
        for note in source["notes"]
    ]
    energy = report["energy"]
    if report["provenance"].get("meter") and energy["value_mj_per_frame"] is None:
        found.append(f"board energy: {energy['explanation']}")
    return list(dict.fromkeys(found))


def _energy_line(name: str, energy: Mapping[str, Any]) -> str:
    label = f"{name} energy per frame"
    if energy["value_mj_per_frame"] is None:
        return f"{label:<30}{energy['kind']}"
    return (
        f"{label:<30}{energy['value_mj_per_frame']:.4f} mJ "
        f"+- {energy['uncertainty_mj']:.4f} (95 %), and +- {energy['gain_mj']:.4f} at most by the "
        f"sensor's gain  {energy['kind']}"
    )
