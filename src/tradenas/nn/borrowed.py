"""A network that computes with other weights than its own for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from tradenas.errors import ConfigError

__all__ = ["weighing"]

#: For each network the module and the name in it of every weight: looking for them takes longer than a small step.
_places: WeakKeyDictionary[nn.Module, dict[str, tuple[nn.Module, str]]] = WeakKeyDictionary()


@contextmanager
def weighing(network: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """In here the network has these weights, which gradients reach; behind it, its own again.

    What `torch.func.functional_call` does, without a walk through all modules in each call.

    Args:
        weights: by the names of `network.named_parameters()`; the others stay as they are.

    Raises:
        ConfigError: a name that is no weight.

    >>> import torch
    >>> layer = nn.Linear(1, 1, bias=False)
    >>> with weighing(layer, {"weight": torch.full((1, 1), 3.0)}):
    ...     float(layer(torch.ones(1)))
    3.0
    """
    if network not in _places:
        _places[network] = {
            f"{prefix}.{name}" if prefix else name: (module, name)
            for prefix, module in network.named_modules()
            for name in module._parameters
        }
    places, own = _places[network], dict[str, Tensor | None]()
    try:
        for name, weight in weights.items():
            if name not in places:
                raise ConfigError("weights", got=name, expected="names of the network's parameters")
            module, key = places[name]
            own[name] = module._parameters[key]
            module._parameters[key] = weight  # type: ignore[assignment]
        yield
    finally:
        for name, weight_ in own.items():
            module, key = places[name]
            module._parameters[key] = weight_  # type: ignore[assignment]
