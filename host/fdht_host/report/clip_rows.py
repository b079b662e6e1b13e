"""The page's part on what was seen: a row a clip, figures of labelled sources, notes.

A run may have thousands of clips; the page shows some of them, and says where the others are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fdht_host.report.text import number, percent

#: Rows of the page at most: clips, blocks of a clip, clips whose blocks are shown, classes of a
#: source, labelled sources, and files that cannot be used.
SHOWN_CLIPS, SHOWN_BLOCKS, SHOWN_CLIPS_WITH_BLOCKS = 200, 40, 5
SHOWN_CLASSES, SHOWN_SOURCES, SHOWN_PROBLEMS = 101, 3, 20


def answers_view(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of `sources` and `clips`; the test set has a section of its own."""
    names = {source["source"]: source for source in report["sources"] if source["kind"] != "test"}
    clips = [clip for clip in report["clips"] if clip["source"] in names]
    sources = list(names.values())
    several = [clip for clip in clips if len(clip["blocks"]) > 1]
    labelled = [source for source in sources if source["accuracy"] is not None]
    problems = [problem for source in sources for problem in source["problems"]]
    return {
        "count": len(clips),
        "labels": any(clip["label"] is not None for clip in clips),
        "rows": [_row(clip) for clip in clips[:SHOWN_CLIPS]],
        "hidden": max(0, len(clips) - SHOWN_CLIPS),
        "blocks": [_blocks(clip) for clip in several[:SHOWN_CLIPS_WITH_BLOCKS]],
        "labelled": [_labelled(source) for source in labelled[:SHOWN_SOURCES]],
        "hidden_labelled": max(0, len(labelled) - SHOWN_SOURCES),
        "notes": list(dict.fromkeys(note for source in sources for note in source["notes"])),
        "problems": problems[:SHOWN_PROBLEMS],
        "hidden_problems": max(0, len(problems) - SHOWN_PROBLEMS),
    }


def class_rows(per_class: Sequence[Mapping[str, Any]] | None) -> list[dict[str, str]]:
    """Figures of classes as text."""
    return [
        {
            "class": row["class"],
            "clips": number(row["clips"]),
            "recall": _share(row["recall"]),
            "precision": _share(row["precision"]),
            "mistake": "" if row["taken_for"] is None else "{} ({})".format(*row["taken_for"]),
        }
        for row in (per_class or ())[:SHOWN_CLASSES]
    ]


def _row(clip: Mapping[str, Any]) -> dict[str, Any]:
    voting = sum(block["votes"] for block in clip["blocks"])
    label = clip["label"]
    return {
        "clip": clip_name(clip),
        "predicted": clip["predicted"],
        "probability": percent(clip["probability"]),
        "label": "" if label is None else label,
        "right": None if label is None else label == clip["predicted"],
        "blocks": f"{clip['agreed']} of {voting}",
        "frames": ""
        if clip["frames_used"] is None
        else f"{clip['frames_used']:,} of {clip['frames_there']:,}",
        "damage": clip["damage"],
    }


def clip_name(clip: Mapping[str, Any]) -> str:
    """What people call a clip: its file, and the frame at which it begins if that holds several."""
    return clip["clip"] if clip["start"] is None else f"{clip['clip']} from frame {clip['start']}"


def _blocks(clip: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        {
            "start": "" if block["start"] is None else number(block["start"]),
            "inputs": number(block["inputs"]),
            "predicted": block["predicted"],
            "probability": percent(block["probability"]),
            "votes": block["votes"],
        }
        for block in clip["blocks"][:SHOWN_BLOCKS]
    ]
    hidden = max(0, len(clip["blocks"]) - SHOWN_BLOCKS)
    return {"clip": clip_name(clip), "rows": rows, "hidden": hidden}


def _labelled(source: Mapping[str, Any]) -> dict[str, Any]:
    found = source["accuracy"]
    return {
        "source": source["source"],
        "accuracy": percent(found["accuracy"]),
        "right": f"{found['right']:,} of {found['clips']:,} clips",
        "chance": percent(found["chance"]),
        "classes": class_rows(found["per_class"]),
    }


def _share(value: float | None) -> str:
    return "\N{EM DASH}" if value is None else percent(value)
