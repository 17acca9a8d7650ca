"""Random streams named by their path, so that a new consumer changes no other stream."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["rng_for", "seed_for"]


def seed_for(seed: int, *path: str | int) -> int:
    """A 63-bit seed for one named consumer: `seed_for(0, "search", "spos", "dropout", 17)`.

    The whole path is hashed (SHA-256), so that streams are independent and no step depends on how many draws
    came before it: a resumed run needs only its step number.

    >>> seed_for(0, "search", 1) == seed_for(0, "search", 1)
    True
    >>> seed_for(0, "search", 1) == seed_for(0, "search", "1")
    False
    """
    digest = hashlib.sha256(repr((int(seed), *path)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def rng_for(seed: int, *path: str | int) -> np.random.Generator:
    """A NumPy generator for one named consumer.

    >>> float(rng_for(7, "batches", 0).random()) == float(rng_for(7, "batches", 0).random())
    True
    """
    return np.random.Generator(np.random.PCG64(seed_for(seed, *path)))
