"""The folder of one run: where everything is, and with what it was made."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradenas.atomic import read_json, write_json, write_text
from tradenas.errors import FolderError
from tradenas.machine import cpu_model
from tradenas.study.config import StudyConfig, read_config

__all__ = ["RunFolder"]

PACKAGES = ("torch", "numpy", "polars", "safetensors", "arch", "skfolio", "lightgbm", "scikit-learn")


@dataclass(frozen=True)
class RunFolder:
    """Paths of `runs/<name>-<digest>/`.  A stage is done when its last file exists."""

    path: Path

    @classmethod
    def create(cls, runs: Path, config: StudyConfig, *, base: Path, command: str) -> RunFolder:
        """The folder of a study; made, or found where the same study has run before.

        Args:
            base: where relative paths of the configuration start; a resume from elsewhere must know.
            command: what is written down as the way to do this again.
        """
        folder = cls(runs / f"{config.name}-{config.digest}")
        for part in ("data", "search", "retrain", "report"):
            (folder.path / part).mkdir(parents=True, exist_ok=True)
        if not folder.study.exists():
            write_json(folder.environment, {**environment(config, command), "base": str(base.resolve())})
            write_text(folder.study, config.to_toml())
        return folder

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """A folder that holds a study.

        Raises:
            FolderError: it does not.
        """
        folder = cls(Path(path))
        if not folder.study.exists():
            raise FolderError(str(path), got="no study.toml", expected="a run folder", fix="look under runs/")
        return folder

    def config(self) -> StudyConfig:
        """The resolved study."""
        return read_config(self.study)

    def refuse_drift(self, config: StudyConfig, *, allow: bool) -> None:
        """Bits are the same for the same versions, CPU and thread count only: a run goes on with what it began with.

        Args:
            allow: go on all the same; what changed is written down in `env.json`, and the report shows it.

        Raises:
            FolderError: something changed since the run began.
        """
        began, now = read_json(self.environment), environment(config, "")
        decisive = ("tradenas", "python", "torch", "numpy", "packages", "platform", "cpu", "threads", "engine", "bf16")
        changed = [
            f"{key}: {began.get(key)} then, {now.get(key)} now" for key in decisive if began.get(key) != now.get(key)
        ]
        if not changed:
            return
        if not allow:
            raise FolderError(
                str(self.path),
                got="; ".join(changed),
                expected="what the run began with, or its numbers could not be had again",
                fix="go back to that, start a new run, or allow drift (--allow-drift), which is written down",
            )
        write_json(self.environment, {**began, "drift": sorted({*began.get("drift", []), *changed})})

    @property
    def base(self) -> Path:
        """Where relative paths of the configuration start."""
        return Path(self.read(self.environment)["base"])

    @property
    def study(self) -> Path:
        return self.path / "study.toml"

    @property
    def environment(self) -> Path:
        return self.path / "env.json"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.db"

    @property
    def data(self) -> Path:
        return self.path / "data.json"

    @property
    def open_rows(self) -> Path:
        """Dataset up to the end of the selection zone."""
        return self.path / "data" / "open.safetensors"

    @property
    def all_rows(self) -> Path:
        """Dataset with the vault's rows; read by the judging stage only."""
        return self.path / "data" / "sealed.safetensors"

    @property
    def candidates(self) -> Path:
        return self.path / "search" / "candidates.json"

    @property
    def budget(self) -> Path:
        """What networks may cost and which share of the space fits; only where something is limited or weighed."""
        return self.path / "search" / "budget.json"

    @property
    def front(self) -> Path:
        """Candidates by quality and costs; only beside a budget."""
        return self.path / "search" / "front.json"

    @property
    def latency(self) -> Path:
        """What was retrained, timed; only where the study has a latency table."""
        return self.path / "retrain" / "latency.json"

    @property
    def inputs(self) -> Path:
        """What each option is worth; only where the study measures it."""
        return self.path / "search" / "inputs.json"

    @property
    def diagnostics(self) -> Path:
        """What alphas learnt; only where the search has some."""
        return self.path / "search" / "diagnostics.json"

    @property
    def coupling(self) -> Path:
        return self.path / "coupling.json"

    @property
    def paths(self) -> Path:
        """Sharpe ratios of the champion over recombined histories; only where the study asks for them."""
        return self.path / "retrain" / "paths.json"

    @property
    def strategies(self) -> Path:
        return self.path / "retrain" / "strategies.json"

    @property
    def daily(self) -> Path:
        return self.path / "retrain" / "daily.parquet"

    @property
    def verdict(self) -> Path:
        return self.path / "verdict.json"

    def read(self, file: Path) -> Any:
        """A JSON file of this folder."""
        return read_json(file)


def environment(config: StudyConfig, command: str) -> dict[str, Any]:
    """What the numbers of a run depend on besides its study file."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "tradenas": importlib.metadata.version("tradenas"),
        "python": platform.python_version(),
        "torch": versions.pop("torch", None),
        "numpy": versions.pop("numpy", None),
        "packages": versions,
        "platform": f"{sys.platform}-{platform.machine()}",
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": config.runner.threads,
        "engine": _engine(),
        "command": command,
        **_bf16(config),
    }


def _engine() -> str | None:
    """What computes the networks."""
    try:
        from tradenas.nn.native import engine
    except ImportError:
        return None
    return engine()


def _bf16(config: StudyConfig) -> dict[str, str]:
    """Which shapes learn in bf16, where trainings do; measured here, before there are workers."""
    if not any(getattr(s.training, "bf16", False) for s in (config.search, config.trials) if hasattr(s, "training")):
        return {}
    from tradenas.nn.half import half_table

    return {"bf16": half_table(config.runner.threads).digest}
