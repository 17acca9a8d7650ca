"""A proxy that ranks better than the supernet has to be seen."""

from __future__ import annotations

import re

from tradenas.report.schema import Coupling, TauInterval
from tradenas.report.sections.rankers import rankers


def told(**proxies):
    known = {name: TauInterval(tau=t, tau_low=t - 0.1, tau_high=t + 0.1) for name, t in proxies.items()}
    return Coupling(metric="ic", num=20, tau=0.3, tau_low=0.2, tau_high=0.4, proxies=known)


def rows(found):
    page = str(rankers(found))
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", body)]
    return [(c[0].partition(":")[0], c[1], c[2]) for c in cells], page


def test_whoever_beats_the_supernet_stands_above_it_and_is_marked():
    table, page = rows(told(synflow=0.1, naswot=0.5, params=0.35, jacob_cov=-0.2))
    assert [row[0] for row in table] == ["NASWOT", "number of parameters", "the supernet", "synflow", "jacob_cov"]
    assert [bool(row[2]) for row in table] == [True, True, False, False, False]
    assert table[0][1] == "0.50 [0.40, 0.60]"
    assert table[2][1] == "0.30 [0.20, 0.40]"
    assert "A number that costs nothing ranked better here" in page


def test_none_beats_it():
    table, page = rows(told(synflow=0.1, macs=0.3))
    assert [row[0] for row in table] == ["the supernet", "multiplications a candle", "synflow"]
    assert "beats" not in page
    assert "No number that costs nothing ranked better" in page


def test_nothing_to_compare():
    assert rankers(told()) is None
    assert rankers(Coupling(metric="ic", num=0, proxies={"synflow": TauInterval(tau=0.1)})) is None
    assert rankers(Coupling(metric="ic", num=9, tau=0.1, proxies={"synflow": TauInterval()})) is None
