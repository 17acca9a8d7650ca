"""Which network is for which device, where one search served many."""

from __future__ import annotations

from tradenas.report.markup import el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import ServedDevice, Strategy
from tradenas.report.sections.parts import Section, note, table
from tradenas.report.wording import DASH, amount, cost_name, count, decimal, in_order

__all__ = ["devices"]

READING = (
    "Limits are those of the device, its profile's included. Quality is what the shared weights said, on rows that the "
    "search ranks by; the Sharpe ratio is that of the network trained alone."
)


def devices(record: RunRecord) -> Section | None:
    """The section; `None` where the study had no devices."""
    found = record.devices
    if found is None:
        return None
    metric = found.metric.replace("_", " ")
    different = len({d.best.digest for d in found.devices if d.best is not None})
    opening = (
        f"The weights were trained once; within them {count(found.looks)} architectures were scored for "
        f"{count(len(found.devices))} devices, which have {count(different)} different best networks."
    )
    rows = [_row(record, device, found.metric) for device in found.devices]
    header = ["device", "limits", "fit", "network", metric, "it takes", "retrained as", f"net Sharpe, {record.zone}"]
    unheld = [
        f"{device.name} also limits what the search has no price for: "
        + ", ".join(f"{cost_name(name)} {amount(name, limit)}" for name, limit in in_order(device.not_held)) + "."
        for device in found.devices if device.not_held
    ]  # fmt: skip
    body = [el("p", opening), table("The best network of each device", header, rows, text=(0, 1, 3, 5, 6))]
    return Section(
        name="devices", short="Devices", title="One search, many devices",
        body=join([*body, note(" ".join([READING, *unheld]))]),
    )  # fmt: skip


def _row(record: RunRecord, device: ServedDevice, metric: str) -> list[object]:
    limits = "; ".join(f"{cost_name(name)} {amount(name, limit)}" for name, limit in in_order(device.limits))
    head: list[object] = [device.name, limits or "none that is priced", count(device.fitting)]
    best = device.best
    if best is None:
        return [*head, "none that was scored fits", *[DASH] * 4]
    alone = _retrained(record, best.digest)
    scores = alone.zone(record.zone) if alone is not None else None
    network = join([best.words, " (", el("code", best.digest[:10]), ")"])
    takes = " · ".join(amount(name, value, unit=True) for name, value in in_order(best.costs))
    return [
        *head, network, decimal(best.scores.get(metric), 3), takes,
        alone.name if alone is not None else "not retrained",
        decimal(scores.sharpe) if scores is not None else DASH,
    ]  # fmt: skip


def _retrained(record: RunRecord, digest: str) -> Strategy | None:
    """The finalist of this architecture."""
    same = (s for s in record.strategies or () if s.digest == digest and s.kind == "finalist")
    return next(same, None)
