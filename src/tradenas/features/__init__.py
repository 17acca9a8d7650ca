"""Causal columns, targets and regimes from candles; nothing here sees past the row it stands in."""

from tradenas.features.alpha158 import ALPHA158_NAMES, ALPHA158_WARMUP, alpha158
from tradenas.features.catalogue import DEFAULT_INDICATORS
from tradenas.features.extra import joined
from tradenas.features.funding import bar_funding
from tradenas.features.indicators import INDICATORS, Indicator, feature
from tradenas.features.regimes import REGIMES, RegimeModel
from tradenas.features.replay import Leak, future_replay, prefix_replay, replay_or_raise
from tradenas.features.startup import StartUp, start_up, start_up_or_raise
from tradenas.features.statistics import Statistic
from tradenas.features.table import FeatureTable, build_table
from tradenas.features.targets import Target, bar_returns, realised_time
from tradenas.features.transforms import TRANSFORMS, Difference, Log, LogReturn, RankTransform, Raw, Transform, ZScore

__all__ = [
    "ALPHA158_NAMES",
    "ALPHA158_WARMUP",
    "DEFAULT_INDICATORS",
    "INDICATORS",
    "REGIMES",
    "TRANSFORMS",
    "Difference",
    "FeatureTable",
    "Indicator",
    "Leak",
    "Log",
    "LogReturn",
    "RankTransform",
    "Raw",
    "RegimeModel",
    "StartUp",
    "Statistic",
    "Target",
    "Transform",
    "ZScore",
    "alpha158",
    "bar_funding",
    "bar_returns",
    "build_table",
    "feature",
    "future_replay",
    "joined",
    "prefix_replay",
    "realised_time",
    "replay_or_raise",
    "start_up",
    "start_up_or_raise",
]
