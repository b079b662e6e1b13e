"""Results of a build elsewhere: brought back whole, or refused."""

from __future__ import annotations

import subprocess

import pytest

from fdht_hls.boards import get_board
from fdht_hls.flow.archive import import_results
from fdht_models.directories import BuildDirectory, OverlayDirectory
from fdht_models.errors import ArtifactError, EqualityError
from fdht_overlays.manifest import load_manifest
from fdht_overlays.plan.collect import collect
from tests.overlays.vivado.running import needs_tcl

pytestmark = needs_tcl


def test_results_are_brought_back(tmp_path, built, experiment, plan):
    archive = built / "work" / "results.tar.gz"
    import_results(plan, archive, tmp_path / "here")
    overlay = tmp_path / "overlay"
    board, build = get_board("pynq-z2"), BuildDirectory(experiment)
    to = OverlayDirectory(overlay)
    assert collect(plan, tmp_path / "here", build.hls, build.cosim, to, board)
    assert load_manifest(overlay).build.plan == plan.digest


@pytest.fixture
def results(tmp_path, built, plan):
    """An unpacked archive of results, and a function that packs it again and imports it."""
    there = built / "work"
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "xzf", there / "results.tar.gz", "-C", unpacked], check=True)

    def imports(listed=True):
        if listed:
            found = sorted(
                str(path.relative_to(unpacked)) for path in unpacked.rglob("*")
                if path.is_file() and path.name != "results.sha256"
            )  # fmt: skip
            text = subprocess.run(
                ["sha256sum", *found], cwd=unpacked, capture_output=True, text=True, check=True
            ).stdout
            (unpacked / "results.sha256").write_text(text)
        archive = tmp_path / "packed.tar.gz"
        names = sorted(path.name for path in unpacked.iterdir())
        # As build.sh packs them: files, no directories.
        files = subprocess.run(
            ["find", *names, "-type", "f"], cwd=unpacked, capture_output=True, text=True, check=True
        ).stdout.split()
        subprocess.run(["tar", "czf", archive, *files], cwd=unpacked, check=True)
        import_results(plan, archive, tmp_path / "imported")

    return unpacked, imports


def test_untouched_results_are_taken(tmp_path, results):
    results[1]()
    assert (tmp_path / "imported" / "results" / "fdht.bit").is_file()


@pytest.mark.parametrize(
    ("change", "listed", "message"),
    [
        (lambda d: (d / "plan.json").write_text("{}"), True, "is stale: it was built from another"),
        (lambda d: (d / "plan.json").unlink(), True, "holds no plan.json"),
        (
            lambda d: (d / "results" / "fdht.bit").write_text("x"),
            False,
            "fdht.bit differs from its",
        ),
        (lambda d: (d / "results" / "fdht.bit").write_text("x"), True, "step bitstream is missing"),
        (lambda d: (d / "results" / "fdht.bit").unlink(), False, "lacks results/fdht.bit"),
        (lambda d: (d / "results" / "fdht.bit").unlink(), True, "step bitstream is missing"),
        (lambda d: (d / "more").write_text("x"), False, "more differs from its digest"),
        (lambda d: (d / "results.sha256").write_text("x"), False, "has no list of digests"),
        (lambda d: (d / "records" / "export").unlink(), True, "step export is missing"),
        (lambda d: (d / "records" / "design").write_text("inputs 0\n"), True, "step design is"),
        (lambda d: (d / "logs" / "csim.log").unlink(), True, "step csim is missing"),
    ],
)
def test_stale_or_damaged_results_are_refused(tmp_path, results, change, listed, message):
    unpacked, imports = results
    change(unpacked)
    with pytest.raises(ArtifactError, match=message):
        imports(listed)
    assert not (tmp_path / "imported" / "results").exists()


def test_a_log_that_tells_of_a_failure_is_refused(results):
    unpacked, imports = results
    path = unpacked / "logs" / "csim.log"
    path.write_text(path.read_text().replace("0 words differ", "3 words differ"))
    with pytest.raises(EqualityError, match="3 of 20 words of results differ"):
        imports()


def test_a_path_out_of_the_directory_is_refused(tmp_path, plan):
    outside = tmp_path / "outside"
    outside.write_text("x")
    archive = tmp_path / "bad.tar.gz"
    subprocess.run(["tar", "czPf", archive, str(outside)], check=True)
    with pytest.raises(ArtifactError, match="which no build writes"):
        import_results(plan, archive, tmp_path / "imported")
    archive.write_bytes(archive.read_bytes()[:40])
    with pytest.raises(ArtifactError, match="is damaged"):
        import_results(plan, archive, tmp_path / "imported")
    with pytest.raises(ArtifactError, match=r"none\.tar\.gz: cannot be read"):
        import_results(plan, tmp_path / "none.tar.gz", tmp_path / "imported")
