"""The dominant eigenvalue of the alphas' Hessian: closed forms, the whole Hessian, and what it must not disturb."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search.test_bilevel import world
from search.test_differentiable import state_after
from tradenas.errors import ConfigError, DivergedError
from tradenas.search.base import METHODS
from tradenas.search.parts.curvature import curvature_along, dominant_eigenvalue, largest_eigenvalue

torch.set_num_threads(1)


def spectrum(values, seed=0):
    """A symmetric matrix with these eigenvalues."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    return q @ np.diag(values) @ q.T


def test_a_quadratic_in_the_alphas_has_the_spectrum_it_was_made_with():
    """c'a + a'Aa / 2 over two choices together; the largest by sign, though -9 is larger by size."""
    A = torch.from_numpy(spectrum([-9.0, -1.0, 0.0, 2.0, 4.5]))
    alphas = {"x": torch.tensor([0.5, -1.0, 2.0]).double(), "y": torch.tensor([0.1, 0.2]).double()}

    def loss(tensors):
        a = torch.cat([tensors["x"], tensors["y"]])
        return torch.arange(5.0).double() @ a + 0.5 * a @ A @ a

    assert dominant_eigenvalue(loss, alphas) == pytest.approx(4.5, rel=1e-9)
    assert dominant_eigenvalue(loss, alphas, weight_decay=1e-3) == pytest.approx(4.501, rel=1e-9)
    along = curvature_along(loss, alphas)
    for i in range(5):
        assert along(np.eye(5)[i]) == pytest.approx(A[i].numpy(), abs=1e-12)


def test_the_hessian_is_taken_where_the_alphas_stand():
    """(sum a^3) / 6 has the Hessian diag(a)."""
    alphas = {"x": torch.tensor([0.5, -1.0]).double(), "y": torch.tensor([-4.0]).double()}
    assert dominant_eigenvalue(lambda a: sum((v**3).sum() for v in a.values()) / 6, alphas) == pytest.approx(0.5)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=40), st.integers(0, 99))
def test_any_spectrum(values, seed):
    A = spectrum(values, seed)
    found = largest_eigenvalue(lambda v: A @ v, len(values))
    assert found == pytest.approx(max(values), abs=2e-5 * max(1e-3, np.abs(values).max()))


def test_it_needs_far_fewer_products_than_rows():
    asked = []
    A = spectrum([*np.linspace(-1.0, 1.0, 159).tolist(), 1.5])

    def product(v):
        asked.append(v)
        return A @ v

    assert largest_eigenvalue(product, 160) == pytest.approx(1.5, rel=1e-6)
    assert 8 <= len(asked) <= 25


def test_all_eigenvalues_below_zero():
    assert largest_eigenvalue(lambda v: np.array([-5.0, -0.5, -2.0]) * v, 3) == pytest.approx(-0.5)
    with pytest.raises(DivergedError, match="Hessian"):
        largest_eigenvalue(lambda v: v * np.nan, 3)


def test_losses_without_curvature():
    alphas = {"x": torch.ones(2), "y": torch.ones(1)}
    w = torch.ones((), requires_grad=True)  # the slope is a function of the weights, not of the alphas
    for loss in (lambda a: torch.ones(()), lambda a: a["x"].sum(), lambda a: a["y"].sum() * w, lambda a: w * 2.0):
        assert dominant_eigenvalue(loss, alphas) == 0.0
    one = dominant_eigenvalue(lambda a: (a["x"][0] ** 2) + a["y"].sum(), alphas)
    assert one == pytest.approx(2.0)


def test_of_a_network_it_is_that_of_the_whole_hessian():
    """Reference: torch's own Hessian, all N rows, and an unsymmetric solver."""
    _, weights, every, _, _, valid = world(depths=(2,), ops=("dense", "conv3", "gated"))
    alphas = {n: a for n, a in every.items() if n.endswith("/op")}
    flat = torch.cat(list(alphas.values()))
    whole = torch.autograd.functional.hessian(
        lambda a: valid(weights, {**every, **dict(zip(alphas, a.split(3), strict=True))}), flat
    )
    values = torch.linalg.eigvals(whole).real
    found = dominant_eigenvalue(lambda a: valid(weights, {**every, **a}), alphas, weight_decay=0.25)
    assert float(values.abs().max()) > 1e-9
    assert found == pytest.approx(float(values.max()) + 0.25, rel=1e-9)
    # a softmax does not change when all its alphas rise alike: a direction without curvature for each choice
    along = curvature_along(lambda a: valid(weights, {**every, **a}), alphas)
    assert np.abs(along(np.repeat([1.0, 0.0], 3))).max() < 1e-9 * float(values.abs().max())


@pytest.mark.parametrize("kind", ["darts", "gdas", "fairdarts"])
def test_looking_changes_nothing(kind):
    """Every method may be watched, and learns what it learns unwatched."""
    watched, logs = state_after(kind, 3, eigenvalue_every=2, training={"epochs": 3})
    alone, unseen = state_after(kind, 3, eigenvalue_every=0, training={"epochs": 3})
    assert [epoch for epoch, _ in watched.learners[0].measured] == [0, 2]
    assert all(np.isfinite(value) for _, value in watched.learners[0].measured)
    assert alone.learners[0].measured == []
    for a, b in zip(watched.network.parameters(), alone.network.parameters(), strict=True):
        assert torch.equal(a, b)
    for name, alpha in watched.learners[0].now().items():
        assert torch.equal(alpha, alone.learners[0].now()[name])
    assert logs == [{**log, "eigenvalue": now["eigenvalue"]} for log, now in zip(unseen, logs, strict=True)]


def test_faults_are_named():
    with pytest.raises(ConfigError, match="eigenvalue_every"):
        METHODS["darts"](eigenvalue_every=-1)
    with pytest.raises(ConfigError, match="stops by it"):
        METHODS["robust_darts"](eigenvalue_every=0)
