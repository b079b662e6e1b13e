"""What `fdht bench sparse` shows and writes: tables and a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from fdht_hls.benchmarks.sparse import DENSE, SPARSE
from fdht_models.artifacts import write_json, write_text

#: Files of a result.
RESULT, PAGE = "sparse.json", "sparse.md"
#: Columns of words.
_LEFT = ("clips", "core", "limited by", "fits", "resources")
#: Clocks of a frame that are compared.
_FIGURES = ("mean", "median", "p95", "worst")
_TIMES = "x"


def write_sparse(result: Mapping[str, Any], directory: Path) -> None:
    """Writes the result and a page in Markdown.

    Raises:
        ArtifactError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / RESULT, result)
    write_text(directory / PAGE, markdown(result))


def tables(result: Mapping[str, Any]) -> Group:
    """The result for people."""
    return Group(
        _table("Clocks of a frame (simulated)", _clocks(result)),
        _table("The cores", _cores(result)),
        _table("Bits of nets that change (simulated)", _toggles(result)),
    )


def _table(title: str, lines: Iterable[Mapping[str, str]]) -> Table:
    table = Table(title=title)
    rows = list(lines)
    for name in rows[0]:
        table.add_column(name, justify="left" if name in _LEFT else "right")
    for row in rows:
        table.add_row(*row.values())
    return table


def _clocks(result: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for row in result["rows"]:
        yield {
            "clips": row["clips"],
            "dead zone": str(row["dead_zone"]),
            "frames": f"{row['frames']:,}",
            "words not zero": f"{row['words']:.1%}",
            "core": row["core"],
            **{name: f"{row['clocks'][name]:,.0f}" for name in _FIGURES},
            "frame without zeros": f"{row['full_frame']:,}",
            "last word to result": f"{row['last_word_to_result']:,}",
            "limited by": row["limited_by"],
            "mismatches": f"{row['mismatches']} of {row['compared']:,}",
        }
        if row["core"] == SPARSE:
            yield _ratio_line(result, row)


def _ratio_line(result: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, str]:
    key = (row["clips"], row["dead_zone"])
    found = next(one for one in result["ratios"] if (one["clips"], one["dead_zone"]) == key)
    return {
        **dict.fromkeys(("clips", "dead zone", "frames", "words not zero"), ""),
        "core": f"{DENSE} / {SPARSE}",
        **{name: f"{found[name]:.2f} {_TIMES}" for name in _FIGURES},
        "frame without zeros": f"{found['full_frame']:.2f} {_TIMES}",
        **dict.fromkeys(("last word to result", "limited by", "mismatches"), ""),
    }


def _cores(result: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    seen = {row["core"]: row for row in result["rows"]}
    for name, row in seen.items():
        busiest = sorted(row["busy"].items(), key=lambda item: -item[1])[:3]
        yield {
            "core": name,
            **{
                kind.upper(): f"{row[kind]:,g} ({row['used'][kind]:.0%})"
                for kind in ("lut", "dsp", "bram36")
            },
            "FF": "unknown" if row["ff"] is None else f"{row['ff']:,}",
            "resources": row["kind"]["resources"],
            "fits": f"{row['board']}: {'yes' if row['fits'] else 'no'}",
            "busiest, in clocks a frame": ", ".join(f"{stage} {at:,.0f}" for stage, at in busiest),
        }


def _toggles(result: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    found = result["toggling"]
    for name in (DENSE, SPARSE):
        yield {
            "core": name,
            "frames": str(found["frames"]),
            "bits looked at": f"{found[name]['bits']:,}",
            "changes a frame": f"{found[name]['per_frame']:,}",
            "changes a clock": f"{found[name]['per_clock']:,.0f}",
        }
    yield {
        "core": f"{DENSE} / {SPARSE}",
        "frames": "",
        "bits looked at": "",
        "changes a frame": f"{found['ratio']:.2f} {_TIMES}",
        "changes a clock": "",
    }


def _weights(setting: Mapping[str, Any]) -> str:
    """Whose weights they are, and what makes them."""
    if setting["weights"] != "trained":
        return str(setting["weights"])
    return f"trained (`fdht train {setting['experiment']}` before it, with the same `--build`)"


def markdown(result: Mapping[str, Any]) -> str:
    """The result as a page that says how it came about."""
    setting, toggling = result["setting"], result["toggling"]
    return "\n".join(
        (
            "<!-- Written by `fdht bench sparse`; do not edit. -->",
            "",
            *_markdown_table(_clocks(result)),
            "",
            "Clocks are *simulated* in Verilator, one core beside the other on the same frames, by",
            "",
            f"    {setting['command']}",
            "",
            f"with a port of {setting['bytes_per_clock']} bytes a clock and a memory that answers "
            f"after {setting['memory_latency']} clocks. They are those between a frame's result "
            "and the one before, of clips one behind the other; mean, median, 95th percentile and "
            "worst. A frame without zeros is noise; the worst of some is told. From last word to "
            "result is the most of frames that come alone, as from a camera. Mismatches are logits "
            f"that differ from the integer reference. Weights are {_weights(setting)}; the sparse "
            f"core is tuned for {setting['tuned_for']}.",
            "",
            *_markdown_table(_cores(result)),
            "",
            *_markdown_table(_toggles(result)),
            "",
            f"Changes are *simulated*, of {toggling['clips']} with a dead zone of "
            f"{toggling['dead_zone']}. {toggling['note']}",
            "",
        )
    )


def _markdown_table(lines: Iterable[Mapping[str, str]]) -> Iterator[str]:
    rows = list(lines)
    yield f"| {' | '.join(rows[0])} |"
    yield "|" + "".join("---|" if name in _LEFT else "---:|" for name in rows[0])
    for row in rows:
        yield f"| {' | '.join(row.values())} |"
