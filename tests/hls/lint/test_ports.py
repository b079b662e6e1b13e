"""Rules on the ports of the top function."""

from __future__ import annotations

import pytest

from tests.hls.lint.samples import check_pair, core, whole

CONTROL = "    #pragma HLS INTERFACE s_axilite port={} bundle=control offset={}"
AXI = "    #pragma HLS INTERFACE m_axi port={} offset=slave bundle=gmem_{} depth=16"
RETURN = "    #pragma HLS INTERFACE s_axilite port=return bundle=control"


def ports(*lines: str) -> str:
    return "\n".join([*lines, RETURN, "    out[0] = in[0] + n;"])


def case(bad: list[str], good: list[str] | None = None) -> tuple[str, str]:
    """Two cores: the argument n has other ports than it should."""
    arguments = "const word_t *in, word_t *out, unsigned n"
    usual = [
        *(AXI.format("in", "in"), AXI.format("out", "out")),
        *(CONTROL.format("in", "0x10"), CONTROL.format("out", "0x1c")),
    ]
    good = good or [CONTROL.format("n", "0x28")]
    return whole(arguments, ports(*usual, *bad)), whole(arguments, ports(*usual, *good))


PORTS = {
    "no mode": case(["    #pragma HLS INTERFACE port=n // !"]),
    "overlap": case([CONTROL.format("n", "0x20") + " // !"]),
    "not a word": case([CONTROL.format("n", "0x2a") + " // !"]),
    "among the control registers": case([CONTROL.format("n", "0x08") + " // !"]),
    "no number": case([CONTROL.format("n", "slave") + " // !"]),
    "a value as memory": case(
        [AXI.format("n", "n") + " // !", CONTROL.format("n", "0x28")],
    ),
    "two of a mode": case(
        [CONTROL.format("n", "0x28"), CONTROL.format("n", "0x30") + " // !"],
    ),
}


@pytest.mark.parametrize("label", PORTS)
def test_a_port_and_its_twin(label, tmp_path):
    check_pair(tmp_path, *PORTS[label], "port")


def axi(extra: str, mark: str, control: str = "control") -> str:
    lines = [
        f"    #pragma HLS INTERFACE m_axi port=in offset=slave bundle=a {extra}{mark}",
        AXI.format("out", "b"),
        CONTROL.format("in", "0x10"),
        CONTROL.format("out", "0x1c"),
        "    #pragma HLS INTERFACE s_axilite port=n bundle=" + control,
    ]
    return whole("const word_t *in, word_t *out, unsigned n", ports(*lines))


def test_bursts_are_short_enough_for_axi3(tmp_path):
    bad = axi("depth=16 max_read_burst_length=32", " // !")
    check_pair(tmp_path, bad, axi("depth=16 max_read_burst_length=16", ""), "port")


def test_memory_ports_state_their_depth(tmp_path):
    check_pair(tmp_path, axi("", " // !"), axi("depth=4", ""), "port")


def test_there_is_one_control_bundle(tmp_path):
    bad = axi("depth=4", "", "other")
    bad = bad.replace("port=return bundle=control", "port=return bundle=control // !")
    check_pair(tmp_path, bad, axi("depth=4", ""), "port")


def test_every_argument_has_a_port(tmp_path):
    good = case([CONTROL.format("n", "0x28")])[1]
    bad = good.replace(CONTROL.format("n", "0x28") + "\n", "").replace("n) {", "n) { // !")
    check_pair(tmp_path, bad, good, "port")


def test_an_address_has_a_register(tmp_path):
    good = case([CONTROL.format("n", "0x28")])[1]
    bad = good.replace(CONTROL.format("in", "0x10") + "\n", "")
    bad = bad.replace("bundle=gmem_in depth=16", "bundle=gmem_in depth=16 // !")
    check_pair(tmp_path, bad, good, "port")


def test_something_starts_the_core(tmp_path):
    good = case([CONTROL.format("n", "0x28")])[1]
    bad = good.replace(RETURN + "\n", "").replace("offset=0x28", "offset=0x28 // !")
    check_pair(tmp_path, bad, good, "port")


def test_a_stream_is_an_axi_stream(tmp_path):
    text = whole("hls::stream<int> &s", "    #pragma HLS INTERFACE {} port=s\n    s.write(1);")
    check_pair(
        tmp_path,
        text.replace("{} port=s", "ap_fifo port=s // !"),
        text.replace("{}", "axis"),
        "port",
    )


DIRECTIONS = {
    "read back": ("results[0] = 1;\nif (results[0]) results[1] = 2;", "results[0] = 1;"),
    "increment": ("results[0]++;", "results[0] = 1;"),
    "compound": ("results[0] += 1;", "results[0] = 1;"),
    "through a pointer": (
        "word_t *target = results + count;\ntarget[0] = target[1];",
        "word_t *target = results + count;\ntarget[0] = frames[1];",
    ),
    "through a reference": (
        "word_t &target = results[0];\ntarget = target + 1;",
        "word_t &target = results[0];\ntarget = count + 1;",
    ),
    "in another function": ("step(results, results);", "step(results, frames);"),
    "only read": ("word_t kept = results[0];", "word_t kept = frames[0];"),
}


@pytest.mark.parametrize("label", DIRECTIONS)
def test_an_output_is_not_read(label, tmp_path):
    step = "static void step(word_t *to, const word_t *from) { to[0] = from[0] + 1; }"
    bad, good = (core(step, text) for text in DIRECTIONS[label])
    check_pair(tmp_path, bad.replace("count) {", "count) { // !"), good, "port-direction")
