"""Single indicators as choices: what is off is not read, costs nothing, and is not there in a standalone network."""

import pytest
import torch

from tradenas.errors import ArchitectureError, SpaceError
from tradenas.nn import Layout, Mode, Network, hard, soft
from tradenas.seeds import rng_for
from tradenas.space import CHAIN_OPS, Chain, mutate

INDICATORS = {"move": "returns", "rsi": "momentum", "cci": "momentum", "volume": "volume", "range": "volatility"}
LAYOUT = Layout(groups=tuple(INDICATORS.values()), transforms=("raw", "zscore"), names=tuple(INDICATORS))
CHAIN = Chain(
    depths=(1, 2), widths=(4, 8), ops=CHAIN_OPS, norms=("none", "layer", "batch"), dropouts=(0.0,), lookbacks=(5, 20),
    transforms=("raw", "zscore"), groups=("volume",), features=("move", "rsi", "cci", "range"),
)  # fmt: skip
SPACE = CHAIN.space(INDICATORS)
SWITCHES = [c.name for c in SPACE.choices if c.name.startswith(("input/group", "input/feature"))]


@pytest.fixture(scope="module")
def network():
    return Network(SPACE, LAYOUT, seed=1).double()


@pytest.fixture(scope="module")
def trained(network):
    """The same with taps that say something: fresh ones are closed."""
    with torch.no_grad():
        said = torch.empty(network.inputs.taps.shape).uniform_(-1, 1, generator=torch.Generator().manual_seed(3))
        network.inputs.taps.copy_(said)  # single precision, as `inherit` makes them
    return network


@pytest.fixture(scope="module")
def rows():
    return torch.randn(2, 60, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def samples(count, *path):
    rng = rng_for(5, *path)
    return [SPACE.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("architecture", samples(12, "equal"), ids=lambda a: a.digest)
def test_path_mixture_and_standalone_agree(trained, rows, architecture):
    path = hard(SPACE, architecture)
    moments = trained.measure(rows, path)
    shared = trained(rows, path, Mode(moments=moments))
    alone = trained.inherit(SPACE.fix(architecture))
    torch.testing.assert_close(alone.double()(rows, {}, Mode(moments=moments)), shared, rtol=1e-10, atol=1e-12)
    weights = soft(SPACE, architecture, dtype=torch.float64)
    mixed = trained(rows, weights, Mode(moments=trained.measure(rows, weights)))
    torch.testing.assert_close(mixed, shared, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("architecture", samples(12, "count"), ids=lambda a: a.digest)
def test_what_is_off_is_not_there_and_costs_nothing(network, architecture):
    alone = network.standalone(architecture, seed=0)
    closed = [name for name in CHAIN.features if architecture[f"input/feature/{name}"] == "off"]
    assert alone.inputs.features == len(INDICATORS) - len(closed)
    assert sum(p.numel() for p in alone.parameters()) == network.count(architecture).parameters
    assert alone.count(architecture) == network.count(architecture)


def test_only_open_columns_are_read(trained, rows):
    architecture = SPACE.walk(
        lambda c: "off" if c.name in ("input/feature/rsi", "input/group/volume") else c.options[0]
    )
    architecture = SPACE.check({**architecture, "input/feature/move": "on"})
    alone, path = trained.inherit(SPACE.fix(architecture)), hard(SPACE, architecture)
    block = 5 * LAYOUT.transforms.index(str(architecture["input/transform"]))
    before = trained(rows, path)
    for j, name in enumerate(INDICATORS):
        changed = rows.clone()
        changed[..., block + j] += 1.0
        read = architecture.get(f"input/feature/{name}", architecture["input/group/volume"]) == "on"
        for net, mixture in ((trained, path), (alone.double(), {})):
            assert torch.allclose(net(changed, mixture), before) is not read, name


def test_the_smaller_inherits_from_the_smaller(trained, rows):
    """Columns are taken from those that the larger has, not from the table."""
    some = SPACE.restrict({"input/feature/move": ["off"], "input/feature/range": ["on"]})
    one = some.restrict({"input/feature/rsi": ["off"]})
    architecture = one.sample(rng_for(1))
    moments = trained.measure(rows, hard(SPACE, architecture))
    want = trained(rows, hard(SPACE, architecture), Mode(moments=moments))
    found = trained.inherit(some).inherit(one).double()(rows, hard(one, architecture), Mode(moments=moments))
    torch.testing.assert_close(found, want, rtol=1e-10, atol=1e-12)
    with pytest.raises(SpaceError, match="inputs"):
        trained.inherit(one).inherit(some)


def test_no_architecture_reads_nothing():
    assert set(SPACE.not_all) == set(SWITCHES)
    few = Chain(
        depths=(1,), ops=("dense",), widths=(4,), activations=("relu",), norms=("none",), dropouts=(0.0,),
        lookbacks=(5,), features=tuple(INDICATORS),
    )  # fmt: skip
    space = few.space(INDICATORS)
    listed = list(space)
    assert len(set(listed)) == len(listed) == space.size() == 2**5 - 1
    rng = rng_for(0, "nothing")
    drawn = [space.sample(rng) for _ in range(300)]
    drawn += [mutate(space, a, rng, rate=0.9) for a in drawn]
    for architecture in [*drawn, *listed, space.smallest()]:
        assert "on" in architecture.values()
    nothing = {**space.smallest(), f"input/feature/{[*INDICATORS][-1]}": "off"}
    with pytest.raises(ArchitectureError, match="all of them 'off'"):
        space.check(nothing)
    with pytest.raises(SpaceError, match="all of them 'off' left"):
        space.restrict({f"input/feature/{name}": ["off"] for name in INDICATORS})
    last = space.restrict({f"input/feature/{name}": ["off"] for name in INDICATORS if name != "cci"})
    assert last.size() == 1
    assert last["input/feature/cci"].options == ("on",)
    with pytest.raises(SpaceError, match="reads nothing"):
        Network(few.space(), LAYOUT)  # without the table the space could not see to it


def test_a_table_with_more_may_have_every_switch_off():
    some = Chain(depths=(1,), widths=(4,), lookbacks=(5,), features=("move", "rsi")).space(INDICATORS)
    assert some.not_all == {}
    assert {some.smallest()[f"input/feature/{name}"] for name in ("move", "rsi")} == {"off"}


def test_every_set_of_indicators_is_as_likely_as_any_other():
    rng = rng_for(0, "half")
    drawn = [SPACE.sample(rng) for _ in range(3000)]
    for name in SWITCHES:
        assert sum(a[name] == "on" for a in drawn) / 3000 == pytest.approx(16 / 31, abs=0.03)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"features": ("rsy",)}, "id you mean 'rsi'"),
        ({"groups": ("volumes",)}, "id you mean 'volume'"),
        ({"groups": ("momentum",), "features": ("rsi",)}, "not both"),
    ],
)
def test_names_that_mean_nothing_or_the_same_twice_are_refused(settings, words):
    chain = Chain(**settings)
    with pytest.raises(SpaceError, match=words):
        chain.space(INDICATORS)


def test_a_network_knows_its_names():
    with pytest.raises(SpaceError, match="id you mean 'rsi'"):
        Network(Chain(features=("rsy",), transforms=("raw",)).space(), LAYOUT)
    with pytest.raises(SpaceError, match="each name once"):
        Chain(features=("rsi", "rsi"))


def test_a_path_moves_no_weight_of_an_input_that_is_off():
    network = Network(SPACE, LAYOUT, seed=1)
    architecture = SPACE.check({**SPACE.smallest(), "input/feature/cci": "on", "input/feature/range": "off",
                                "input/group/volume": "off"})  # fmt: skip
    network(torch.randn(1, 30, 10), hard(SPACE, architecture)).square().sum().backward()
    moved = network.inputs.taps.grad.abs().sum(1) > 0
    assert moved.tolist() == [name == "cci" for name in INDICATORS]
