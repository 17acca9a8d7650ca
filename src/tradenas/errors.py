"""Every error that tradenas raises on purpose.

    TradenasError
    ├── ConfigError          a study file, an option or an argument is wrong
    ├── CandleError          candles are not what they must be; names the row
    │   └── ExchangeError    the exchange answered with something that is not candles
    │       └── ExchangeBan  the exchange told us to go away (403, 10018): never retried
    ├── LookaheadError       something computed at time t would see after t
    ├── SpaceError           a search space contradicts itself
    ├── ArchitectureError    an architecture does not belong to a search space
    ├── MixtureError         a mixture lacks a choice, or has the wrong kind of weight for it
    ├── BudgetError          nothing in the space fits the budget
    ├── DivergedError        training left the finite numbers
    ├── VaultError           the vault was opened before
    ├── ExportError
    │   ├── UnsupportedOp    a target runtime cannot express an operation
    │   └── ParityError      an exported model does not compute what the network computes
    ├── FolderError          a run folder is damaged, locked, or of another study
    └── MissingExtra         an optional dependency is absent; prints its pip command

A message says four things: the place, what was got, what was expected, and what to do.
"""

from __future__ import annotations

__all__ = [
    "ArchitectureError",
    "BudgetError",
    "CandleError",
    "ConfigError",
    "DivergedError",
    "ExchangeBan",
    "ExchangeError",
    "ExportError",
    "FolderError",
    "LookaheadError",
    "MissingExtra",
    "MixtureError",
    "ParityError",
    "SpaceError",
    "TradenasError",
    "UnsupportedOp",
    "VaultError",
]


class TradenasError(Exception):
    """Base class of every error raised by tradenas.

    Args:
        place: where it happened (a key, a file and row, a layer).
        got: what was found there.
        expected: what would have been right.
        fix: what the reader can do about it.

    >>> print(ConfigError("search.epochs", got=-1, expected="a positive number", fix="set 1 or more"))
    search.epochs: got -1, expected a positive number. Set 1 or more.
    """

    def __init__(
        self,
        place: str,
        *,
        got: object = None,
        expected: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.place, self.got, self.expected, self.fix = place, got, expected, fix
        parts = []
        if got is not None:
            parts.append(f"got {got if isinstance(got, str) else repr(got)}")
        if expected is not None:
            parts.append(f"expected {expected}")
        message = f"{place}: {', '.join(parts)}" if parts else place
        if fix is not None:
            message = f"{message.rstrip('.')}. {fix[:1].upper()}{fix[1:].rstrip('.')}."
        super().__init__(message)


class ConfigError(TradenasError, ValueError):
    """A study file, an option or an argument is wrong."""


class CandleError(TradenasError, ValueError):
    """Candles are not what they must be; `row` is the first bad row, counted from 0."""

    def __init__(
        self,
        place: str,
        *,
        got: object = None,
        expected: str | None = None,
        fix: str | None = None,
        row: int | None = None,
    ) -> None:
        self.row = row
        super().__init__(place, got=got, expected=expected, fix=fix)


class ExchangeError(CandleError):
    """The exchange answered with something that is not candles."""


class ExchangeBan(ExchangeError):
    """The exchange told us to go away (HTTP 403, code 10018): never retried."""


class LookaheadError(TradenasError, ValueError):
    """Something computed at time t would see after t."""


class SpaceError(TradenasError, ValueError):
    """A search space contradicts itself."""


class ArchitectureError(TradenasError, ValueError):
    """An architecture does not belong to a search space."""


class MixtureError(TradenasError, ValueError):
    """A mixture lacks a choice, or has the wrong kind of weight for it."""


class BudgetError(TradenasError, ValueError):
    """Nothing in the space fits the budget."""


class DivergedError(TradenasError, ArithmeticError):
    """Training left the finite numbers."""


class VaultError(TradenasError, RuntimeError):
    """The vault was opened before."""


class ExportError(TradenasError, RuntimeError):
    """A network could not be written for a runtime."""


class UnsupportedOp(ExportError):
    """A target runtime cannot express an operation."""


class ParityError(ExportError):
    """An exported model does not compute what the network computes."""


class FolderError(TradenasError, OSError):
    """A run folder is damaged, locked, or of another study."""


class MissingExtra(TradenasError, ImportError):
    """An optional dependency is absent.

    >>> print(MissingExtra.of("lightgbm", extra="search"))
    lightgbm: got not installed, expected the extra 'search'. Run: pip install 'tradenas[search]'.
    """

    @classmethod
    def of(cls, package: str, *, extra: str) -> MissingExtra:
        return cls(
            package,
            got="not installed",
            expected=f"the extra {extra!r}",
            fix=f"run: pip install 'tradenas[{extra}]'",
        )

    @classmethod
    def behind(cls, error: ModuleNotFoundError) -> MissingExtra | None:
        """What to install, where the package that was not found belongs to an extra.

        >>> print(MissingExtra.behind(ModuleNotFoundError(name="torch.nn")))
        torch: got not installed, expected the extra 'search'. Run: pip install 'tradenas[search]'.
        """
        package = (error.name or "").partition(".")[0]
        return cls.of(package, extra="search") if package in SEARCH_PACKAGES else None


#: What `pip install 'tradenas[search]'` brings and modules import at their top.
SEARCH_PACKAGES = ("torch", "safetensors", "polars", "scipy", "arch", "skfolio", "lightgbm")
