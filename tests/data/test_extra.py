"""Files of extra columns: what is understood, what is refused with its row, and whose rows are taken."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tradenas.atomic import sha256_file, write_json
from tradenas.data import Extra, read_extra, read_funding
from tradenas.data.extra import funding_file
from tradenas.errors import CandleError, ConfigError, FolderError

T0 = 1_735_689_600_000
HOUR = 3_600_000
STAMPS = [T0 + i * 8 * HOUR for i in range(4)]
RATES = [1e-4, -2e-4, 0.0, 5e-5]


def csv(folder, text, name="x.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def table(folder, columns, name="x.parquet"):
    pl.DataFrame(columns).write_parquet(folder / name)
    return folder


class TestSeries:
    @pytest.mark.parametrize(
        "text",
        [
            "time,value\n" + "".join(f"{t},{r}\n" for t, r in zip(STAMPS, RATES, strict=True)),
            "Timestamp;Funding Rate\n" + "".join(f"{t};{r}\n" for t, r in zip(STAMPS, RATES, strict=True)),
            "timestamp,note,rate\r\n" + "".join(f"{t // 1000},a,{r}\r\n" for t, r in zip(STAMPS, RATES, strict=True)),
            "ts\topen_interest\n" + "".join(f"{t}\t{r}\n\n" for t, r in zip(STAMPS, RATES, strict=True)),
        ],
        ids=["plain", "semicolons", "seconds", "only one"],
    )
    def test_csv(self, tmp_path, text):
        (found,) = read_extra(Extra(path="x.csv", name="oi"), "BTCUSDT", base=csv(tmp_path, text))
        assert found.known_at_ms.tolist() == STAMPS
        assert found.value.tolist() == RATES
        assert found.name == "oi"
        assert found.usual_step_ms == 8 * HOUR

    def test_iso_times_and_arrival_before_the_exchange_s_own_stamp(self, tmp_path):
        text = "timestamp,local_timestamp,value\n2025-01-01T00:00:00Z,2025-01-01T00:00:01Z,1\n"
        text += "2025-01-01T08:00:00Z,2025-01-01T08:00:02Z,2\n"
        (found,) = read_extra(Extra(path="x.csv", name="oi", lag_ms=500), "B", base=csv(tmp_path, text))
        assert found.known_at_ms.tolist() == [T0 + 1500, T0 + 8 * HOUR + 2500]

    @pytest.mark.parametrize("kind", ["parquet", "feather"])
    def test_tables(self, tmp_path, kind):
        frame = pl.DataFrame(
            {"date": pl.Series(STAMPS).cast(pl.Datetime("ms", "UTC")), "open": RATES, "volume": [0] * 4}
        )
        (frame.write_parquet if kind == "parquet" else frame.write_ipc)(tmp_path / f"x.{kind}")
        (found,) = read_extra(Extra(path=f"x.{kind}", name="rate", column="open"), "B", base=tmp_path)
        assert found.known_at_ms.tolist() == STAMPS
        assert found.value.tolist() == RATES

    def test_each_market_takes_its_own_rows(self, tmp_path):
        columns = {"time": STAMPS * 2, "symbol": ["BTC"] * 4 + ["ETH"] * 4, "rate": RATES + [9.0] * 4}
        table(tmp_path, columns)
        assert read_extra(Extra(path="x.parquet", name="f"), "BTC", base=tmp_path)[0].value.tolist() == RATES
        assert read_extra(Extra(path="x.parquet", name="f"), "ETH", base=tmp_path)[0].value.tolist() == [9.0] * 4
        leader = Extra(path="x.parquet", name="f", symbol="BTC")
        assert read_extra(leader, "ETH", base=tmp_path)[0].value.tolist() == RATES
        with pytest.raises(CandleError, match=r"rows of BTC, ETH, expected rows of 'SOL'.*symbol"):
            read_extra(Extra(path="x.parquet", name="f"), "SOL", base=tmp_path)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (f"time,value\n{T0},1\n{T0 + 5},x\n", r"x\.csv, row 1 \(line 3\), column 'value'"),
            (f"time,value\n{T0},1\n\n{T0},2\n", r"oi, row 1 \(line 4\).*strictly increasing"),
            (f"time,value\n{T0},1\n{T0 + 5},nan\n", r"oi, row 1 \(line 3\).*finite"),
            (f"time,value\n{T0},1\nsoon,2\n{T0 + 9},3\n", r"x\.csv, row 1 \(line 3\), column 'time'"),
            (f"time,a,b\n{T0},1,2\n", r"x\.csv, header.*value of oi"),
            (f"moon,value\n{T0},1\n", r"x\.csv, header.*time at which"),
            (f"{T0},1\n{T0 + 5},2\n", r"line 1.*header"),
            (f"time,value\n{T0},1\n{T0 + 5},2,3\n", r"x\.csv: .*whole table"),
            ("time,value\n", r"x\.csv: got no rows"),
        ],
    )
    def test_what_is_refused(self, tmp_path, text, words):
        with pytest.raises(CandleError, match=words):
            read_extra(Extra(path="x.csv", name="oi"), "BTC", base=csv(tmp_path, text))

    def test_files_that_cannot_be_read(self, tmp_path):
        with pytest.raises(CandleError, match=r"none\.csv"):
            read_extra(Extra(path="none.csv", name="oi"), "BTC", base=tmp_path)
        (tmp_path / "x.parquet").write_bytes(b"PAR1 but no more")
        with pytest.raises(CandleError, match="whole table"):
            read_extra(Extra(path="x.parquet", name="oi"), "BTC", base=tmp_path)

    def test_the_longest_age(self, tmp_path):
        text = "time,value\n" + "".join(f"{t},1\n" for t in STAMPS)
        (found,) = read_extra(Extra(path="x.csv", name="a", max_age_minutes=90), "B", base=csv(tmp_path, text))
        assert found.max_age_ms == 90 * 60_000

    @pytest.mark.parametrize(
        "wrong",
        [{"path": ""}, {"name": ""}, {"name": "two words"}, {"kind": "books"}, {"levels": 0}, {"levels": 3},
         {"lag_ms": -1}, {"max_age_minutes": -1.0}, {"kind": "book", "column": "x"}],
    )  # fmt: skip
    def test_settings_that_make_no_sense(self, wrong):
        with pytest.raises(ConfigError, match=r"data\.extra"):
            Extra(**{"path": "x.csv", "name": "oi", **wrong})


BOOK = "time,bid_price,bid_size,ask_price,ask_size\n"


class TestBook:
    def test_by_hand(self, tmp_path):
        text = BOOK + f"{T0},99,3,101,1\n{T0 + 60_000},100,2,100.5,6\n"
        spread, imbalance, micro = read_extra(Extra(path="x.csv", kind="book"), "B", base=csv(tmp_path, text))
        assert [s.name for s in (spread, imbalance, micro)] == ["book_spread", "book_imbalance", "book_microprice"]
        np.testing.assert_allclose(spread.value, [200.0, 1e4 * 0.5 / 100.25])
        np.testing.assert_allclose(imbalance.value, [0.5, -0.5])
        # (101 * 3 + 99 * 1) / 4 = 100.5 over a mid of 100; (100.5 * 2 + 100 * 6) / 8 = 100.125 over 100.25
        np.testing.assert_allclose(micro.value, [50.0, 1e4 * (100.125 / 100.25 - 1)])
        np.testing.assert_allclose(micro.value, spread.value / 2 * imbalance.value)

    @pytest.mark.parametrize("style", ["bid_price_{i}", "bid{i}_px", "bids[{j}].price"])
    def test_depth(self, tmp_path, style):
        sizes = {"bid_price": "bid_size", "bid{i}_px": "bid{i}_sz", "bids[{j}].price": "bids[{j}].amount"}
        size = sizes.get(style, "bid_size_{i}")
        columns: dict[str, list] = {"ts": [T0, T0 + 1000]}
        for i in (1, 2, 3):
            for side, sign in (("bid", -1), ("ask", 1)):
                columns[style.format(i=i, j=i - 1).replace("bid", side)] = [100 + sign * i, 100 + sign * i * 2]
                columns[size.format(i=i, j=i - 1).replace("bid", side)] = [i if side == "bid" else 2 * i, 1]
        table(tmp_path, columns)
        three = read_extra(Extra(path="x.parquet", kind="book", name="l2", levels=3), "B", base=tmp_path)
        assert [s.name for s in three] == ["l2_spread", "l2_imbalance", "l2_microprice", "l2_depth3"]
        np.testing.assert_allclose(three[3].value, [(6 - 12) / 18, 0.0])
        two = read_extra(Extra(path="x.parquet", kind="book", levels=2), "B", base=tmp_path)
        np.testing.assert_allclose(two[3].value, [(3 - 6) / 9, 0.0])
        assert len(read_extra(Extra(path="x.parquet", kind="book"), "B", base=tmp_path)) == 3
        with pytest.raises(CandleError, match="4 bids"):
            read_extra(Extra(path="x.parquet", kind="book", levels=4), "B", base=tmp_path)

    @pytest.mark.parametrize(
        ("row", "words"),
        [("101,1,100,1", "crossed"), ("100,1,100,1", "crossed"), ("-1,1,100,1", "a bid"), ("99,0,100,0", "no size"),
         ("99,-1,100,3", "no size"), ("99,nan,100,1", "finite"), ("99,inf,100,1", "finite"), ("99,,100,1", "empty")],
    )  # fmt: skip
    def test_a_bad_snapshot_is_named(self, tmp_path, row, words):
        text = BOOK + f"{T0},99,3,101,1\n{T0 + 1000},{row}\n"
        with pytest.raises(CandleError, match=rf"row 1 \(line 3\).*{words}"):
            read_extra(Extra(path="x.csv", kind="book"), "B", base=csv(tmp_path, text))

    def test_levels_out_of_order_are_refused(self, tmp_path):
        head = "time,bid_price_1,bid_size_1,bid_price_2,bid_size_2,ask_price_1,ask_size_1,ask_price_2,ask_size_2\n"
        for row, words in (("99,1,99,1,101,1,102,1", "bids that rise"), ("99,1,98,1,101,1,100.5,1", "asks that fall")):
            with pytest.raises(CandleError, match=words):
                read_extra(Extra(path="x.csv", kind="book", levels=2), "B", base=csv(tmp_path, f"{head}{T0},{row}\n"))

    def test_a_book_without_sizes_is_refused(self, tmp_path):
        with pytest.raises(CandleError, match="prices and sizes of 1 bids"):
            read_extra(Extra(path="x.csv", kind="book"), "B", base=csv(tmp_path, f"time,bid,ask\n{T0},1,2\n"))


class TestFunding:
    def test_a_file(self, tmp_path):
        table(tmp_path, {"timestamp": STAMPS, "symbol": ["BTCUSDT"] * 4, "funding_rate": RATES}, "f.parquet")
        found = read_funding("f.parquet", "BTCUSDT", base=tmp_path)
        assert found.name == "funding_rate"
        assert found.value.tolist() == RATES
        with pytest.raises(CandleError, match="ETHUSDT"):
            read_funding("f.parquet", "ETHUSDT", base=tmp_path)

    def test_percent_is_refused(self, tmp_path):
        table(tmp_path, {"time": STAMPS, "rate": [1.0, 2.5, 0.0, 0.0]}, "f.parquet")
        with pytest.raises(CandleError, match="fractions"):
            read_funding("f.parquet", "B", base=tmp_path)

    def store(self, folder, symbol="BTCUSDT"):
        from tradenas.data.bybit.store import write_table

        place = folder / f"linear-{symbol}-funding"
        place.mkdir(parents=True)
        columns = {"time": np.array(STAMPS), "rate": np.array(RATES)}
        write_table(place / "funding.parquet", columns, {"tradenas.series": place.name})
        write_json(place / "manifest.json", {"sha256": sha256_file(place / "funding.parquet")})
        return place / "funding.parquet"

    @pytest.mark.parametrize(("said", "where"), [("bybit", "candles"), ("store", "store")])
    def test_what_fetch_stored(self, tmp_path, said, where):
        file = self.store(tmp_path / where)
        assert funding_file(said, "BTCUSDT", base=tmp_path) == file
        assert read_funding(said, "BTCUSDT", base=tmp_path).value.tolist() == RATES
        with pytest.raises(FolderError, match=r"no funding of ETHUSDT.*fetch ETHUSDT --funding"):
            read_funding(said, "ETHUSDT", base=tmp_path)
        with pytest.raises(CandleError, match="rows of BTCUSDT"):  # the file itself says whose it is
            read_funding(str(file), "ETHUSDT", base=tmp_path)
        file.write_bytes(file.read_bytes() + b" ")
        with pytest.raises(FolderError, match="manifest"):
            read_funding(said, "BTCUSDT", base=tmp_path)

    def test_nothing_stored(self, tmp_path):
        with pytest.raises(FolderError, match="no funding of BTCUSDT"):
            read_funding("bybit", "BTCUSDT", base=tmp_path)
