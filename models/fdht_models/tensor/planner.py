"""The best order in which to contract a network's cores into its input.

What the running tensor looks like after some cores does not depend on the order in which they
were contracted. So the best order is found exactly, by dynamic programming over sets of cores:
2^n sets instead of n! orders.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator

from fdht_models.errors import ShapeError, require_known
from fdht_models.tensor.network import TensorNetwork
from fdht_models.tensor.plan import ContractionPlan, plan_contraction

#: What to minimise first; ties are broken by the others.
OBJECTIVES = ("macs", "buffer", "cycles")
#: Most cores that are searched exhaustively: 2^16 sets take seconds.
_MOST_CORES = 16

#: In the order of `OBJECTIVES`.
Cost = tuple[int, int, int]


def best_plan(
    network: TensorNetwork, objective: str = "macs", streamed: bool = True
) -> ContractionPlan:
    """The plan that costs least.

    Args:
        network: what to contract.
        objective: "macs": multiply-accumulates a vector; "buffer": the peak of partial sums;
            "cycles": turns of the busiest stage when all stages run side by side, each turn
            multiplying one vector of bonds with one slice of its core (see `StageShape` of the
            engine). The others break ties, in this order.
        streamed: take the input modes from the last to the first, as a row-major vector arrives.
            Otherwise any order, as software may.

    Raises:
        ConfigError: no such objective.
        ShapeError: the network has too many cores to search.
    """
    require_known(objective, OBJECTIVES, "objective", "is not an objective")
    count = len(network.cores)
    if count > _MOST_CORES:
        raise ShapeError(
            f"at most {_MOST_CORES} cores are searched",
            field="network",
            value=count,
            remedy="merge some, or give the order",
        )
    orders = _search(network, _key(objective), streamed)
    return plan_contraction(network, [network.core_names[position] for position in orders])


def _key(objective: str) -> Callable[[Cost], Cost]:
    first = OBJECTIVES.index(objective)
    rest = [place for place in range(len(OBJECTIVES)) if place != first]
    return lambda cost: (cost[first], cost[rest[0]], cost[rest[1]])


def _search(network: TensorNetwork, key: Callable[[Cost], Cost], streamed: bool) -> tuple[int, ...]:
    """Positions of the cores in the best order."""
    count = len(network.cores)
    running = functools.cache(functools.partial(_running, network))
    best: dict[int, tuple[Cost, tuple[int, ...]]] = {0: ((0, 0, 0), ())}
    for done in range(1 << count):  # a set comes after all of its subsets
        if done not in best:
            continue
        (macs, buffer, turns), order = best.pop(done)
        if done == (1 << count) - 1:
            return order
        before = running(done)
        for position in _next_cores(network, done, before, streamed):
            bit = 1 << position
            own = _step(network, position, before, running(done | bit))
            cost = (macs + own[0], max(buffer, own[1]), max(turns, own[2]))
            found = best.get(done | bit)
            if found is None or key(cost) < key(found[0]):
                best[done | bit] = (cost, (*order, position))
    raise ShapeError(
        "its input modes cannot be taken from the last to the first",
        field="network",
        value=network.format,
        remedy="plan it without streaming",
    )


def _next_cores(
    network: TensorNetwork, done: int, before: frozenset[str], streamed: bool
) -> Iterator[int]:
    """Positions of the cores that may come next; if streamed, as the input arrives, row-major.

    Before a mode is summed, all later ones must be. A core without an input mode may come when it
    shares an index with what was contracted: before that it would only blow up the frame.
    """
    open_modes = [index for index in network.inputs if index in before]
    bonds = before - {*network.inputs, *network.outputs}
    for position, core in enumerate(network.cores):
        if done & (1 << position):
            continue
        own = [index for index in core.indices if index in network.inputs]
        in_turn = (
            own == open_modes[len(open_modes) - len(own) :] if own else bonds & {*core.indices}
        )
        if in_turn or not streamed:
            yield position


def _step(
    network: TensorNetwork, position: int, before: frozenset[str], after: frozenset[str]
) -> Cost:
    """What it costs to contract a core into a running tensor with the indices `before`."""
    modes = {*network.inputs, *network.outputs}
    core = set(network.cores[position].indices)
    summed = before - after
    size = network.sizes
    added = math.prod(size[index] for index in core - before)
    macs = math.prod(size[index] for index in after | summed)
    rank = math.prod(size[index] for index in summed - modes)
    kept = math.prod(size[index] for index in after if index not in network.inputs)
    return macs, kept, macs // (max(added, 1) * rank)


def _running(network: TensorNetwork, done: int) -> frozenset[str]:
    """Indices of the running tensor once a set of cores is contracted."""
    taken = [core for place, core in enumerate(network.cores) if done & (1 << place)]
    open_cores = [core for place, core in enumerate(network.cores) if not done & (1 << place)]
    later = {index for core in open_cores for index in core.indices}
    found = {index for index in network.inputs if index in later}
    for core in taken:
        found |= {index for index in core.indices if index in later or index in network.outputs}
    return frozenset(found)
