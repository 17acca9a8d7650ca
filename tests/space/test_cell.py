"""The cell blueprint: sizes known from the papers, conditions on edges, and what is pruned."""

from __future__ import annotations

from itertools import combinations, product
from math import comb, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradenas.errors import ArchitectureError, SpaceError
from tradenas.seeds import rng_for
from tradenas.space import Architecture, Cell, Edge, Graph, crossover, essential, mutate

TINY = Cell(nodes=2, ops=("zero", "skip", "dense"))
BENCH201 = Cell(inputs=1, nodes=3, take=0, output="last", ops=("skip", "zero", "conv3", "conv1", "pool"), cells=(1,))


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("take", [1, 2, 3])
@pytest.mark.parametrize("inputs", [1, 2])
def test_sizes_in_closed_form(nodes, take, inputs):
    cell = Cell(inputs=inputs, nodes=nodes, take=take, ops=("skip", "dense", "conv3"), cells=(2, 4), widths=(8, 16))
    before = [min(take, j) for j in range(inputs, inputs + nodes)]
    want = prod(comb(j, t) * 3**t for j, t in zip(range(inputs, inputs + nodes), before, strict=True))
    assert cell.space().size() == want * 4


def test_size_of_the_darts_cell():
    """(k + 1) k / 2 * 7^2 for k = 1..4: about 10^9 (DARTS, appendix A)."""
    seven = ("skip", "dense", "conv3", "conv5", "separable3", "dilated3", "mean5")
    assert Cell(nodes=4, ops=seven).space().size() == prod((k + 1) * k // 2 * 49 for k in range(1, 5))


def test_size_is_what_iteration_gives():
    space = TINY.space()
    listed = list(space)
    assert len(listed) == len(set(listed)) == space.size() == 9 * 27
    assert all(space.check(a) == a for a in listed)
    assert {a["cell/node3/from"] for a in listed} == set(combinations(range(3), 2))


def test_an_edge_is_chosen_where_its_node_takes_it():
    space = TINY.space()
    for a in space:
        taken = a["cell/node3/from"]
        assert {n for n in a if n.startswith("cell/edge")} == (
            {"cell/edge0-2/op", "cell/edge1-2/op"} | {f"cell/edge{i}-3/op" for i in taken}
        )
        assert "cell/node2/from" not in a  # two nodes before it, two taken: nothing to choose
    first = next(iter(space))
    with pytest.raises(ArchitectureError, match="edge2-3"):
        space.check({**first, "cell/edge2-3/op": "dense"})


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 2]), st.sampled_from([0, 1, 2, 3]), st.sampled_from(["all", "last"]))
def test_samples_moves_and_restrictions(seed, inputs, take, output):
    cell = Cell(inputs=inputs, take=take, output=output, cells=(2, 3))
    space, rng = cell.space(), rng_for(seed, "cell")
    a, b = space.sample(rng), space.sample(rng)
    assert space.check(a) == a == Architecture.from_json(a.to_json())
    for child in (mutate(space, a, rng, rate=0.2), crossover(space, a, b, rng)):
        assert space.check(child) == child
    fixed = space.fix(a)
    assert fixed.size() == 1
    assert next(iter(fixed)) == a
    assert len(cell.graph.edges(a)) == sum(min(take, j) if take else j for j in range(inputs, cell.graph.num_nodes))
    live = cell.graph.live_edges(a)
    assert set(live) <= set(cell.graph.edges(a))
    assert list(live) == sorted(live, key=lambda e: (e.target, e.source))
    assert set(live) == {e for e in cell.graph.edges(a) if matters(cell, a, e)}
    without = space.restrict({n: [o for o in cell.ops if o != "zero"] for n in (c.name for c in space.choices)
                              if n.endswith("/op")})  # fmt: skip
    assert all("zero" not in c.options for c in without.choices)
    best = without.sample(rng)
    assert cell.graph.output == "last" or cell.graph.live_edges(best) == cell.graph.edges(best)


def matters(cell, architecture, edge):
    """By brute force: the edge lies on a path of ops other than zero from an input to an output node."""
    edges = [e for e in cell.graph.edges(architecture) if e.op != "zero"]

    def paths(node):
        yield (), node
        for e in edges:
            if e.source == node:
                for rest, end in paths(e.target):
                    yield (e, *rest), end

    ends = (
        {cell.graph.num_nodes - 1}
        if cell.graph.output == "last"
        else set(range(cell.graph.inputs, cell.graph.num_nodes))
    )
    return any(edge in path and end in ends for i in range(cell.graph.inputs) for path, end in paths(i))


def test_restricting_a_node_takes_its_other_edges_away():
    space = TINY.space().restrict({"cell/node3/from": [0, 2]})
    assert "cell/edge1-3/op" not in space
    assert space.size() == 81
    assert all(a["cell/node3/from"] == (0, 2) for a in space)
    with pytest.raises(SpaceError, match="take=2"):
        TINY.space().restrict({"cell/node3/from": [0]})


def test_the_cells_of_nas_bench_201_that_pass_nothing():
    """Exactly 341 of its 15,625 cells score chance, those without a path from input to output (METHODS, finding 4)."""
    edges = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    fixed = {c.name: c.options[0] for c in BENCH201.space().choices if not c.name.endswith("/op")}
    dead = 0
    for ops in product(("zero", "dense"), repeat=6):
        a = fixed | {f"cell/edge{i}-{j}/op": op for (i, j), op in zip(edges, ops, strict=True)}
        if not BENCH201.graph.live_edges(a):
            dead += 4 ** ops.count("dense")  # four ops that are not zero
    assert dead == 341
    assert BENCH201.space().size() == 15_625


def architecture(cell, ops, sources=(), **others):
    """Edges not named are zero."""
    space = cell.space()
    given = {f"cell/edge{i}-{j}/op": op for (i, j), op in ops.items()}
    given |= {f"cell/node{j}/from": taken for j, taken in dict(sources).items()} | others
    return space.walk(lambda c: given.get(c.name, "zero" if c.name.endswith("/op") else c.options[0]))


def test_what_is_pruned():
    cell = Cell(inputs=1, nodes=3, take=0, output="last", ops=("zero", "skip", "dense"))
    dead_end = architecture(cell, {(0, 1): "dense", (0, 3): "skip"})
    assert cell.graph.live_edges(dead_end) == (Edge(0, 3, "skip"),)  # node 1 is not heard
    unfed = architecture(cell, {(0, 3): "skip", (1, 2): "dense", (2, 3): "dense"})
    assert cell.graph.live_edges(unfed) == (Edge(0, 3, "skip"),)  # nothing reaches node 1
    way = architecture(cell, {(0, 1): "dense", (1, 2): "skip", (2, 3): "dense"})
    assert len(cell.graph.live_edges(way)) == 3
    assert cell.graph.live_nodes(way) == (1, 2, 3)
    wide = Cell(inputs=1, nodes=3, take=0, output="all", ops=("zero", "skip", "dense"))
    assert wide.graph.live_edges(dead_end) == (Edge(0, 1, "dense"), Edge(0, 3, "skip"))  # every node is heard
    assert wide.graph.live_nodes(dead_end) == (1, 3)
    assert wide.graph.live_edges(architecture(wide, {})) == ()
    assert cell.graph.count_op(way, "dense") == 2
    assert cell.graph.count_op(way, "skip") == 1


@pytest.mark.parametrize(
    ("ops", "want"),
    [
        ({(0, 2): "dense"}, (1, 3)),  # each reads the cell before the last
        ({(1, 2): "dense"}, (0, 1, 2, 3)),
        ({(0, 2): "dense", (1, 2): "skip"}, (0, 1, 2, 3)),
        ({}, ()),
    ],
)
def test_cells_that_nobody_reads(ops, want):
    cell = Cell(nodes=1, cells=(4,), ops=("zero", "skip", "dense"))
    assert live_cells(cell, architecture(cell, ops)) == want


def live_cells(cell, a):
    return cell.graph.live_cells(a["cells"], [e.source for e in cell.graph.live_edges(a)])


def test_one_input_reads_the_last_cell():
    cell = Cell(inputs=1, nodes=1, cells=(3,), ops=("zero", "dense"))
    assert live_cells(cell, architecture(cell, {(0, 1): "dense"})) == (0, 1, 2)


def test_choices_of_the_inputs_come_first():
    space = Cell(nodes=2, ops=("zero", "skip", "dense"), lookbacks=(5, 10), groups=("trend",)).space()
    assert [c.name for c in space.choices][:4] == ["input/lookback", "input/transform", "input/group/trend", "cells"]
    assert space.size() == 4 * TINY.space().size()
    assert TINY.space({"a": "trend"}).not_all == {}
    only = Cell(groups=("trend",)).space({"a": "trend"})
    assert all(only.sample(rng_for(i, "on"))["input/group/trend"] == "on" for i in range(5))


def test_the_graph_can_be_read_off_names():
    for cell in (TINY, BENCH201, Cell(nodes=5, take=3)):
        a = cell.space().sample(rng_for(1, "names"))
        assert Graph.of(a, a["cell/output"]) == cell.graph
        assert Graph.of((c.name for c in cell.space().choices), cell.output) == cell.graph


def test_a_large_cell_is_counted_at_once():
    """Seven nodes have 1.3 million ways to take two each."""
    want = prod(comb(j, 2) * 9**2 for j in range(2, 9))
    assert Cell(nodes=7).space().size() == want


def test_search_and_retraining_share_their_choices():
    """A few cells to search on, more to train: only `cells` differs."""
    small, large = Cell(cells=(3,)).space(), Cell(cells=(8,)).space()
    a = small.sample(rng_for(0, "proxy"))
    assert large.check({**a, "cells": 8})["cells"] == 8
    assert {c.name: c.options for c in small.choices if c.name != "cells"} == {
        c.name: c.options for c in large.choices if c.name != "cells"
    }


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"cells": ()}, "cells"), ({"cells": (3, 2)}, "cells"), ({"cells": (0,)}, "cells"), ({"cells": (21,)}, "cells"),
        ({"widths": (0,)}, "widths"), ({"nodes": 0}, "nodes"), ({"nodes": 8}, "nodes"), ({"take": -1}, "take"),
        ({"ops": ("zero",)}, "ops"), ({"ops": ()}, "ops"), ({"dropouts": (1.0,)}, "dropouts"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(wrong, place):
    with pytest.raises(SpaceError, match=f"space.{place}"):
        Cell(**wrong)


def test_an_edge_that_nothing_hears_makes_no_other_network():
    cell = Cell(inputs=1, nodes=3, take=0, output="last", ops=("zero", "skip", "dense"))
    ways = [architecture(cell, {(0, 1): op, (0, 3): "skip"}) for op in ("zero", "skip", "dense")]
    assert len({essential(a) for a in ways}) == 1
    assert essential(ways[0]) != essential(architecture(cell, {(0, 3): "dense"}))
    chain = Architecture({"depth": 1, "layer0/op": "dense"})
    assert essential(chain) == chain
