"""How long an architecture takes on a device: tables of measured parts, fitted to whole networks."""

from tradenas.cost.latency.cuda import Cuda
from tradenas.cost.latency.eager import Eager
from tradenas.cost.latency.measuring import Measured, measure
from tradenas.cost.latency.native import C
from tradenas.cost.latency.predict import Latency
from tradenas.cost.latency.runtimes import OnnxRuntime
from tradenas.cost.latency.table import Table
from tradenas.cost.latency.timing import Effort

__all__ = ["C", "Cuda", "Eager", "Effort", "Latency", "Measured", "OnnxRuntime", "Table", "measure"]
