"""Planted worlds: candles whose best possible forecast is known, to measure how much of it a search finds."""

from __future__ import annotations

from tradenas.data.synthetic.panels import PANELS, PlantedPanel, planted_panel
from tradenas.data.synthetic.worlds import KINDS, World, planted

__all__ = ["KINDS", "PANELS", "PlantedPanel", "World", "planted", "planted_panel"]
