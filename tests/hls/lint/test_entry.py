"""What users call: `lint_project`, `check_synthesizable` and `fdht lint`."""

from __future__ import annotations

import builtins
import json
import re
from pathlib import Path

import pytest

import fdht
from fdht_hls.lint import RULES, Finding, check_synthesizable, frontend, lint_project, parse_project
from fdht_models.errors import ArtifactError, ConversionError, ToolError
from tests.hls.lint import test_code, test_dataflow, test_loops, test_ports, test_pragmas
from tests.hls.lint.samples import core, write

BAD = core("", "float f; // !\nwhile (count) { count--; }")


def test_findings_are_sorted_and_counted_once(tmp_path):
    found = lint_project(write(tmp_path, BAD))
    assert [(finding.rule, finding.line) for finding in found] == [
        ("floating-point", 13),
        ("loop-bound", 14),
    ]
    assert str(found[0]) == (
        "firmware/fdht_lstm.cpp:13: floating-point: f is a floating-point number; "
        "use ap_fixed or codes"
    )


def test_the_first_finding_is_the_error(tmp_path):
    with pytest.raises(ConversionError) as caught:
        check_synthesizable(parse_project(write(tmp_path, BAD)))
    assert str(caught.value) == (
        "firmware/fdht_lstm.cpp:13: floating-point: f is a floating-point number (and 1 more); "
        "use ap_fixed or codes"
    )
    check_synthesizable(parse_project(write(tmp_path, core("", "results[0] = count;"))))


def test_the_command(tmp_path, capsys):
    write(tmp_path, BAD)
    assert fdht.main(["lint", str(tmp_path)]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 3 and shown[2] == f"2 findings under {len(RULES)} rules"
    assert fdht.main(["lint", str(tmp_path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [Finding(**finding) for finding in found] == lint_project(tmp_path)
    write(tmp_path, core("", ""))
    assert fdht.main(["lint", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"0 findings under {len(RULES)} rules\n"
    assert fdht.main(["lint", str(tmp_path / "firmware")]) == 2
    assert "has no firmware/fdht_lstm.cpp" in capsys.readouterr().err


def test_a_directory_without_a_core(tmp_path):
    with pytest.raises(ArtifactError, match=r"has no firmware/fdht_lstm\.cpp; name the directory"):
        lint_project(tmp_path)


def test_a_core_without_its_top_function(tmp_path):
    with pytest.raises(ConversionError, match=r"firmware/fdht_lstm.cpp: has no function fdht_lstm"):
        lint_project(write(tmp_path, "int other() { return 0; }"))


@pytest.fixture
def fresh(monkeypatch):
    """What was found out about the tools is found out anew."""
    for function in (frontend.clang, frontend.system_includes):
        function.cache_clear()
    yield
    monkeypatch.undo()
    for function in (frontend.clang, frontend.system_includes):
        function.cache_clear()


def test_without_libclang(fresh, monkeypatch, tmp_path):
    imported = builtins.__import__

    def without(name, *rest):
        if name == "clang":
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ToolError, match=re.escape("libclang: is not installed; pip install")):
        lint_project(write(tmp_path, BAD))


def test_without_a_compiler(fresh, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r"g\+\+: is not installed"):
        lint_project(write(tmp_path, BAD))


def test_a_compiler_that_does_not_tell_its_headers(fresh, monkeypatch, tmp_path):
    program = tmp_path / "g++"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="does not tell its header files"):
        lint_project(write(tmp_path, BAD))


def test_a_finding_has_a_rule():
    with pytest.raises(ValueError, match="no such rule"):
        Finding("nonsense", "a.h", 1, "", "")


def test_every_rule_is_tested_and_explained():
    """By a sample that breaks it, and in the page for users."""
    tested = {
        sample.rule for module in (test_code, test_loops, test_pragmas) for sample in module.SAMPLES
    }
    tested |= {rule for rule, _, _ in test_dataflow.REGIONS.values()}
    texts = "".join(
        Path(module.__file__).read_text() for module in (test_code, test_ports) if module.__file__
    )
    tested |= {rule for rule in ("compile", "port", "port-direction") if f'"{rule}"' in texts}
    assert tested == set(RULES)
    page = Path(__file__).parents[3] / "docs" / "synthesizability.md"
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page.read_text(), re.MULTILINE)) == set(RULES)
