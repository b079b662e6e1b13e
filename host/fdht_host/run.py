"""The stage `run`: build/<name>/overlay/... -> build/<name>/run/<time>/report.{json,html}.

Streams clips and videos through a board, compares logits with the integer reference as `--verify`
says, measures energy and writes the report. What a board lacks - a test set, the training stage's
directory - is "not run" in the report. All sources are looked at before anything runs; whatever
fails afterwards takes nothing away from what was done until then.
"""

from __future__ import annotations

import platform
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from fdht_hls.boards import Board, get_board
from fdht_host.accelerator import Accelerator
from fdht_host.answers import accuracy_of, write_predictions
from fdht_host.energy.evaluation import EnergyResult
from fdht_host.energy.metered_load import run_load
from fdht_host.energy.windows import board_energy, cpu_energy
from fdht_host.evidence import Evidence, Recipe, find_recipe, gather, recipe_of
from fdht_host.interleaving import in_turns
from fdht_host.outcome import Outcome, reason, sparse_frames, tell, throughput
from fdht_host.power.meter import PowerMeter
from fdht_host.power.outside.naming import OutsideMeter, require_real
from fdht_host.readers import TRAINED, Reader, reader_of
from fdht_host.report.contents import build_report
from fdht_host.report.html import write_report
from fdht_host.run_sources import TEST, TEST_SET, Source, check_names, look_at
from fdht_host.source_run import SourceRun
from fdht_host.streamer import Streamer
from fdht_host.testset import load_test_set
from fdht_host.verification import Verification, verification_of
from fdht_models.artifacts import OVERLAY, check_place, digest_of
from fdht_models.console import Show
from fdht_models.directories import REPORT, OverlayDirectory, RunDirectory, network_in
from fdht_models.errors import ArtifactError, ConfigError, DataError
from fdht_models.stages import Stage
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.versions import package_versions
from fdht_overlays.figures import clips_of
from fdht_overlays.manifest import OverlayManifest, load_manifest


@dataclass(frozen=True)
class RunSettings:
    """What to run.

    Args:
        sources: `TEST_SET`, at most once, and paths of files and folders.
        clips: test clips; None takes as many as the experiment evaluates.
        seed: of the test clips; None takes the experiment's.
        clip_frames: network inputs after which the state is reset in a stream without labels; None
            takes the length of the clips that the network was trained on, 0 never resets.
        resize: resize videos of another size; False refuses them.
        protocol: how files are read, one of `fdht_host.readers.PROTOCOLS`; None: as in training.
        energy: measure energy.
        meter: that the user named, in place of the board's own.
        cache: directory for generated clips.
        weights: `network.json` of a network whose weights are loaded into the core first; None
            takes those that it was built with.
        verify: what is compared with the reference: "all", "none", or a share of the sequences;
            None: see `fdht_host.verification.verification_of`.
        verify_seed: of that share.
    """

    sources: Sequence[str]
    clips: int | None = None
    seed: int | None = None
    clip_frames: int | None = None
    resize: bool = True
    energy: bool = True
    cache: Path | None = None
    weights: Path | None = None
    protocol: str | None = None
    meter: OutsideMeter | None = None
    verify: str | None = None
    verify_seed: int | None = None


def run_stage(
    overlay: OverlayDirectory, runs: Path, settings: RunSettings, progress: Show
) -> tuple[Path, dict[str, Any]]:
    """Runs an overlay on its board; nothing else of a build is needed.

    Args:
        overlay: what `fdht build` wrote, here or elsewhere.
        runs: where the report gets a directory of its own.
        settings: what to run.
        progress: told how far it has come.

    Returns:
        The directory written, and the content of its report.json.

    Raises:
        FdhtError: something is missing, refused or fails. Nothing is written if it does so before
            the first result; otherwise the report holds all that was done, and why it ended.
        KeyboardInterrupt: likewise.
    """
    manifest, stage = load_manifest(overlay.path), overlay.open()
    board = get_board(manifest.board)
    live = _answering(settings, board)
    asked = (settings.verify, settings.verify_seed)
    verification = verification_of(*asked, simulated=board.simulated)
    built = _built(stage, manifest)
    network = built if settings.weights is None else QuantizedNetwork.load(settings.weights)
    reader = replace(_reader(network, settings), raw=manifest.input.raw)
    recipe = _recipe(stage, settings)
    sources = [
        _with_clips(source, recipe, network, settings, reader.raw)
        for source in look_at(settings.sources, network, reader, recipe)
    ]
    evidence = gather(manifest, f"{network.design_id:016x}")
    unread = {"test clips": recipe.note} if recipe is not None and recipe.note else {}
    check_place(runs / REPORT)
    started, done = datetime.now(timezone.utc), Outcome()
    with Accelerator.open(overlay.path) as accelerator:
        if settings.weights is not None:
            accelerator.load_weights(network)
        _stream(Streamer(accelerator, network, reader, verification, progress), sources, done)
        _require_answers(done)
        # Before the energy windows, whose frames lie in memory already, add to the phases' times.
        rates = throughput(accelerator.times, done)
        frames, sparse = accelerator.times.frames, sparse_frames(manifest, accelerator.times)
        if settings.energy:
            work = partial(_energy, accelerator, board, network, live, settings, done, progress)
            done.energy = done.optional("energy", work, asked=settings.meter is not None)
            done.cpu_energy = done.optional("cpu_energy", lambda: cpu_energy(network, progress))
        provenance = {
            "started": started.isoformat(timespec="seconds"),
            "frames": frames,
            **_provenance(manifest, settings, network),
        }
        # Within: that closing the board fails is no reason to lose the report.
        report = build_report(
            experiment=manifest.experiment,
            board={
                "name": board.name,
                "title": board.title,
                "simulated": board.simulated,
                "clock_mhz": manifest.clock_mhz,
            },
            sources=[run.to_json(network, reader) for run in done.runs],
            clips=[answer.to_json() for run in done.runs for answer in run.answers],
            left_out={**evidence.left_out, **unread},
            failures=[{"part": part, "reason": reason(error)} for part, error in done.failures],
            throughput=rates,
            provenance=provenance,
            **_sections(evidence, network, done, sparse, verification),
        )
        directory = _write(runs, started, manifest.design_id, report, done)
    if done.failures:
        tell(done.failures[0][1], directory)
    return directory, report


def _answering(settings: RunSettings, board: Board) -> PowerMeter | None:
    """The meter that the user named, if it is read from here, once it has answered.

    Raises:
        ConfigError, MeasurementError: it cannot be used.
    """
    if settings.meter is None:
        return None
    if not settings.energy:
        raise ConfigError("is of no use without energy", field="meter", remedy="leave one out")
    require_real(settings.meter, board.simulated)
    return settings.meter.live()


def _energy(
    accelerator: Accelerator,
    board: Board,
    network: QuantizedNetwork,
    live: PowerMeter | None,
    settings: RunSettings,
    done: Outcome,
    progress: Show,
) -> EnergyResult:
    """Energy by the board's own sensor, or by the meter that the user named."""
    if settings.meter is None:
        return board_energy(accelerator, board, network, progress)
    done.load = run_load(accelerator, board, network, settings.meter, live, progress)
    return done.load.energy(settings.meter)


def _require_answers(done: Outcome) -> None:
    """Raises why nothing could be run, where that is so."""
    if any(run.answers for run in done.runs):
        return
    if done.failures:
        raise done.failures[0][1]
    problems = [problem for run in done.runs for problem in run.problems]
    raise DataError(
        f"none of {len(problems)} clips can be used: {problems[0].path} {problems[0].reason}",
        field="source",
        value=done.runs[0].source.name,
        remedy="give clips that can be read",
    )


def _built(overlay: Stage, manifest: OverlayManifest) -> QuantizedNetwork:
    """The network that an overlay was built for.

    Raises:
        ArtifactError: a file is missing or damaged, or of another network than the overlay.
    """
    network = network_in(overlay)
    design = f"{network.design_id:016x}"
    clips = [digest_of(asdict(one)) for one in (manifest.clips, clips_of(network)) if one]
    if design != manifest.design_id or len(set(clips)) > 1:
        raise ArtifactError(
            f"is of another network than the overlay ({manifest.design_id})",
            field=f"{overlay.directory}: design",
            value=design,
            remedy="run fdht build again",
        )
    return network


def _sections(
    evidence: Evidence,
    network: QuantizedNetwork,
    done: Outcome,
    sparse: Mapping[str, Any] | None,
    verification: Verification,
) -> dict[str, Mapping[str, Any] | None]:
    accuracy, equality = dict(evidence.accuracy), dict(evidence.equality)
    found = None if done.tests is None else accuracy_of(done.tests.answers, network.classes)
    if found is not None:
        accuracy |= {"quantized": found.pop("accuracy"), **found}
    answers = [answer for run in done.runs for answer in run.answers]
    equality["verification"] = verification.to_json(answers)
    if any(run.compared for run in done.runs):
        equality["reference_board"] = {
            "compared": sum(run.compared for run in done.runs),
            "mismatches": sum(run.mismatches for run in done.runs),
        }
    return {
        "accuracy": accuracy,
        "equality": equality,
        "parameters": evidence.parameters,
        # Of a full frame; and, where those that were run took less, of these.
        "latency": {**evidence.latency, **({"sparse": sparse} if sparse else {})},
        "energy": None if done.energy is None else done.energy.to_json(),
        "cpu_energy": None if done.cpu_energy is None else done.cpu_energy.to_json(),
        "video": next((found for run in done.runs if (found := run.video(network))), None),
    }


def _provenance(
    manifest: OverlayManifest, settings: RunSettings, network: QuantizedNetwork
) -> dict[str, Any]:
    file = None if settings.weights is None else str(settings.weights)
    figures = {
        name: getattr(manifest.figures, name) for name in ("training", "equality", "estimate")
    }
    return {
        "design_id": manifest.design_id,
        # What made the overlay, and whose figures it carries.
        "overlay": {
            "tools": dict(manifest.tools),
            "figures": {name: f"{one.source}, {one.kind}" for name, one in figures.items() if one},
        },
        "weights": {"id": f"{network.design_id:016x}", "file": file},
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": package_versions("fdht", "pynq", "numpy", "av"),
        "sources": list(settings.sources),
        "meter": None if settings.meter is None else settings.meter.to_json(),
        "protocol": settings.protocol or TRAINED,
        "preprocessing": network.preprocessing.to_json(),
    }


def _write(
    runs: Path, started: datetime, identity: str, report: Mapping[str, Any], done: Outcome
) -> Path:
    """Writes the report into a directory that no other run has."""
    inputs = {OVERLAY: identity}
    with RunDirectory.write_dated(runs, started, inputs) as (directory, temporary, extra):
        write_report(temporary, report)
        write_predictions(temporary, report["clips"])
        if done.load is not None:
            done.load.write(temporary)
        extra["experiment"] = report["experiment"]
    return directory


def _reader(network: QuantizedNetwork, settings: RunSettings) -> Reader:
    """How files are read.

    Raises:
        ConfigError: the options do not go together, or have no effect on the sources.
    """
    check_names(settings.sources)
    files = any(name != TEST_SET for name in settings.sources)
    of_tests: dict[str, object] = {"clips": settings.clips, "seed": settings.seed}
    of_files: dict[str, object] = {
        "protocol": settings.protocol,
        "clip-frames": settings.clip_frames,
        "no-resize": None if settings.resize else True,
    }
    for name, value in of_tests.items():
        if value is not None and TEST_SET not in settings.sources:
            raise ConfigError(
                "is of test clips", field=name, value=value, remedy=f"add --source {TEST_SET}"
            )
    for name, value in of_files.items():
        if value is not None and not files:
            raise ConfigError(
                f"has no effect on --source {TEST_SET}, whose clips are those of training",
                field=name,
                value=value,
                remedy="give files or folders",
            )
    if not files:
        return Reader(network.preprocessing, TRAINED, network.preprocessing.sampling.steps)
    protocol = TRAINED if settings.protocol is None else settings.protocol
    return reader_of(network.preprocessing, protocol, settings.clip_frames, settings.resize)


def _with_clips(
    source: Source,
    recipe: Recipe | None,
    network: QuantizedNetwork,
    settings: RunSettings,
    raw: bool,
) -> Source:
    """A source; of the test set with its clips."""
    if source.kind != TEST:
        return source
    assert recipe is not None
    asked = (settings.clips, settings.seed, settings.cache)
    clips = load_test_set(recipe, network, *asked, raw=raw)
    notes = source.notes
    if settings.clips is not None and len(clips.labels) < settings.clips:
        notes = (*notes, f"--clips {settings.clips}: the test set has {len(clips.labels)}")
    return replace(source, clips=clips, notes=notes)


def _recipe(overlay: Stage, settings: RunSettings) -> Recipe | None:
    """The experiment's data: needed for its test set, and of use where a folder is of its set."""
    if TEST_SET in settings.sources:
        return recipe_of(overlay)
    if not any(Path(name).is_dir() for name in settings.sources):
        return None
    try:
        return find_recipe(overlay)
    except ArtifactError as error:  # its set's layout is not known then; class folders still are
        return Recipe({}, str(error))


def _stream(streamer: Streamer, sources: Sequence[Source], done: Outcome) -> None:
    """Runs the sources, in turns as far as the core has contexts for them.

    What of one was run stays in `done` where it fails in the middle.
    """
    runs = [SourceRun(source) for source in sources]

    def steps(run: SourceRun, context: int) -> Generator[None, None, None]:
        if done.ended:
            return
        run.context = context
        try:
            yield from streamer.steps(run)
        except GeneratorExit:  # another source ended the run
            raise
        except BaseException as error:
            done.failed(run.source.name, error)

    try:
        streams = [partial(steps, run) for run in runs]
        with closing(in_turns(streams, streamer.accelerator.contexts)) as turns:
            while not done.ended and next(turns, None) is not None:
                pass
    except BaseException as error:  # between two steps
        done.failed("source", error)
    done.runs += [run for run in runs if run.answers or run.problems]
