"""What the alphas of a differentiable search learnt, and what is lost when they become an architecture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tradenas.report.describe import describe, live_edges
from tradenas.report.figures.alphas import Line, courses, final_table, scale_key, strips, strips_of
from tradenas.report.figures.architecture import draw
from tradenas.report.figures.effects import digits
from tradenas.report.markup import Markup, el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import Interval
from tradenas.report.schema.alphas import AlphaRecord, AlphaSupernet
from tradenas.report.sections.parts import Section, figure, note, table
from tradenas.report.wording import DASH, count, decimal, percent

__all__ = ["alphas", "findings", "in_short"]

#: Entropy from which alphas have not decided; share of skips from which they have taken over.
UNDECIDED, TAKEN_OVER = 0.95, 0.4
COURSE = (
    "Entropy of the weights of each choice, scaled so that 1 is all options alike and 0 is one option alone, mean over "
    "choices; and the share of the weight that skips have, mean over the edges or layers that offer them."
)
SHARP = (
    "Largest eigenvalue of the Hessian of the validation loss in the alphas, on one batch, with their weight decay. "
    "Where it rises, the loss has grown sharp in the alphas and less of it outlives discretisation (Zela et al. 2020)."
)
STRIPS = (
    "A strip is one option from the first epoch to the last. Its colour is the ratio of its odds to those before "
    "anything was learnt, paper is even. Framed: taken by the alphas' own architecture."
)
GAP = (
    "All on the ranking rows of the search zone, from which neither weights nor alphas learnt. The relaxed network "
    "mixes all options and is no architecture. Trained alone, an architecture learns from all training rows; "
    "the shared weights learnt from the earlier of them only, the alphas from the later ones. Intervals are of paired "
    "differences over consecutive parts of the rows. These looks chose nothing; each is a trial of the stage "
    "diagnostics, unless search or coupling had counted it."
)


def alphas(record: RunRecord) -> Section | None:
    """The section; `None` for a search without alphas."""
    found = record.alphas
    if found is None or not found.supernets:
        return None
    first = found.supernets[0]
    body: list[object] = [el("ul", join(el("li", words) for words in findings(found)), class_="findings")]
    body.append(_course(record, found))
    if sharp := _sharpness(record, found):
        body += [el("h3", "How sharp the loss is in the alphas"), sharp]
    body += _weights(record, first)
    for number, net in enumerate(found.supernets[1:], start=2):
        inner = join(_weights(record, net))
        body.append(el("details", el("summary", f"Weights of supernet {number}"), inner))
    body += [el("h3", "What discretisation costs"), _gaps(found), note(GAP)]
    body += [el("h3", "The architecture of the alphas"), *(_own(record, net) for net in _distinct(found.supernets))]
    return Section(name="alphas", short="Alphas", title="What the alphas learnt", body=join(body))


def findings(found: AlphaRecord) -> list[str]:
    """What happened, in sentences: decided or not, skips, the stop, the gap."""
    said: list[str] = []
    many = len(found.supernets) > 1
    for number, net in enumerate(found.supernets, start=1):
        said += [f"Supernet {number}: {words}" if many else words for words in _found(found, net)]
    return said


def _found(found: AlphaRecord, net: AlphaSupernet) -> Iterator[str]:
    entropies = [e.entropy for e in net.epochs if e.entropy is not None]
    if entropies and entropies[-1] >= UNDECIDED:
        yield (
            f"The alphas never decided: the entropy of the ops ended at {decimal(entropies[-1], 3)}, where 1 is no "
            "preference at all. Which op comes first is close to chance; raise search.alphas.lr or the epochs."
        )
    elif entropies:
        yield f"The entropy of the ops went from {decimal(entropies[0])} to {decimal(entropies[-1])}."
    skips = [e.skips for e in net.epochs if e.skips is not None]
    taken, of = _skips_taken(net)
    if skips:
        words = f"skips have {percent(skips[-1], 0)} of the weight, {percent(skips[0], 0)} after the first epoch"
        words += f", and {taken} of the {of} ops taken" if of else ""
        if skips[-1] >= TAKEN_OVER or (of and 2 * taken >= of and taken > 1):
            yield f"Skips took over: {words}. fairdarts, darts_minus, pdarts and dartsplus guard against it."
        else:
            yield f"{words[:1].upper()}{words[1:]}."
    if words := _overruled(net):
        yield words
    if net.stopped is not None:
        stop = net.stopped
        yield f"Stopped after epoch {stop.at + 1}: {stop.why}. The alphas of epoch {stop.keep + 1} were kept."
    if words := _cost(found.metric, net):
        yield words


def _overruled(net: AlphaSupernet) -> str:
    """Where `zero`, which is left out when a node takes its ways in, weighs more than the op that was taken."""
    taken, over = 0, 0
    for choice in net.stages[-1].choices:
        op = net.architecture.get(choice.name)
        if choice.part == "ops" and "zero" in choice.options and op in choice.options and choice.strengths:
            last = dict(zip(choice.options, choice.strengths[-1], strict=True))
            taken, over = taken + 1, over + (op != "zero" and last["zero"] > last[str(op)])
    if not over:
        return ""
    return (
        f"On {over} of the {taken} edges taken, zero weighs more than the op that was taken: it is left out when ops "
        "are chosen, so that these were taken against the alphas."
    )


def _cost(metric: str, net: AlphaSupernet) -> str:
    """What discretisation did by the metric that ranks, and by loss, in a sentence; empty where it was not measured."""
    if net.decided:
        return (
            f"{count(net.decided)} choices were made one by one while the supernet was trained on: in the end the "
            "mixture was its architecture, and what each choice cost is in the trials of the search."
        )
    told = [
        (change, _change_in_words(name, change))
        for name in dict.fromkeys((metric, "loss"))
        if (change := net.gap.discretisation.get(name)) is not None and change.low is not None
    ]
    lost = [words for change, words in told if change.high is not None and change.high < 0]
    open_ = [words for change, words in told if words not in lost]
    if lost:
        rest = f"; {' and '.join(open_)} do{'es' if len(open_) == 1 else ''} not show it" if open_ else ""
        return (
            f"Discretisation destroyed what was learnt: {' and '.join(lost)} from the relaxed network to its "
            f'architecture{rest}. Choosing ops by perturbation (search.select = "perturbation", DARTS-PT), gates that '
            "do not compete (fairdarts) or a falling temperature (search.alphas.temperature) bring the two together."
        )
    if told and all(change.low is not None and change.low > 0 for change, _ in told):
        return f"The architecture is better than the mixture it came from: {' and '.join(open_)}."
    return f"Discretisation cost nothing that can be measured: {' and '.join(open_)}." if told else ""


def _change_in_words(name: str, change: Interval) -> str:
    """A change of merit as the change of the score itself."""
    of = "loss" if name == "loss" else name.replace("_", " ").replace("ic", "IC")
    return f"{_changed(name, change, sign=True)} {of}"


def _changed(name: str, change: Interval | None, *, sign: bool = False) -> str:
    if change is None or change.value is None or change.low is None or change.high is None:
        return DASH
    places, turn = (4, -1.0) if name == "loss" else (digits(name), 1.0)
    low, high = sorted((turn * change.low, turn * change.high))
    value = decimal(turn * change.value, places, sign=sign)
    return f"{value} [{decimal(low, places)}, {decimal(high, places)}]"


def _skips_taken(net: AlphaSupernet) -> tuple[int, int]:
    """Skips among the ops that the architecture runs, and how many those are."""
    mapping = net.architecture
    ops = [op for *_, op in live_edges(mapping)[0]] if "cells" in mapping else []
    ops = ops or [str(op) for name, op in mapping.items() if name.endswith("/op")]
    return ops.count("skip"), len(ops)


def in_short(found: AlphaRecord) -> str:
    """One line for a summary: the first supernet's entropy, skips, and gap."""
    net = found.supernets[0]
    said = []
    for name, values in (
        ("entropy", [decimal(e.entropy) for e in net.epochs if e.entropy is not None]),
        ("skips", [percent(e.skips, 0) for e in net.epochs if e.skips is not None]),
    ):
        said += [f"{name} {values[0]} to {values[-1]}"] if values else []
    lost = net.gap.discretisation.get(found.metric)
    if lost is not None and lost.value is not None:
        name = found.metric.replace("_", " ").replace("ic", "IC")
        said.append(f"discretisation {_changed(found.metric, lost, sign=True)} {name}")
    return ", ".join(said)


def _stop_of(net: AlphaSupernet) -> tuple[int, str] | None:
    return None if net.stopped is None else (net.stopped.keep + 1, f"kept: epoch {net.stopped.keep + 1}")


def _course(record: RunRecord, found: AlphaRecord) -> Markup | None:
    lines = []
    for number, net in enumerate(found.supernets, start=1):
        suffix = f", supernet {number}" if len(found.supernets) > 1 else ""
        entropy = [(i, e.entropy) for i, e in enumerate(net.epochs, start=1) if e.entropy is not None]
        skips = [(i, e.skips) for i, e in enumerate(net.epochs, start=1) if e.skips is not None]
        lines += [Line(label=f"entropy of ops{suffix}", cls="champion", points=entropy)]
        lines += [Line(label=f"skips' share{suffix}", cls="baseline", points=skips)]
        for part, label, cls in (("columns", "entropy of columns", "hold"), ("others", "of other choices", "gross")):
            lines.append(Line(label=f"{label}{suffix}", cls=cls, points=_mean_entropy(net, part)))
    lines = [line for line in lines if line.points]
    stop = _stop_of(found.supernets[0])
    return figure(
        record,
        lambda _, *, width: courses(
            lines, width=width, what="Entropy and share of skips", low=0.0, high=1.0, stop=stop
        ),
        caption=COURSE,
        key=list(dict.fromkeys((line.label.split(", supernet")[0], line.cls) for line in lines)),
    )


def _mean_entropy(net: AlphaSupernet, part: str) -> list[tuple[float, float]]:
    """Over the choices of a part, epoch by epoch."""
    means: list[tuple[float, float]] = []
    for stage in net.stages:
        own = [c.entropy for c in stage.choices if c.part == part]
        for each in zip(*own, strict=True):
            means.append((len(means) + 1.0, sum(each) / len(each)))
    return means


def _sharpness(record: RunRecord, found: AlphaRecord) -> Markup | None:
    nets = [net for net in found.supernets if net.eigenvalues]
    if not nets:
        return None
    lines = [
        Line(
            label="eigenvalue" if len(found.supernets) == 1 else f"supernet {number}",
            cls="champion" if number == 1 else "hold",
            points=[(epoch + 1, value) for epoch, value in net.eigenvalues],
            dots=True,
        )
        for number, net in enumerate(nets, start=1)
    ]
    size = max(abs(v) for line in lines for _, v in line.points)
    places = 1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.1 else 4
    stop = _stop_of(found.supernets[0])
    return figure(
        record,
        lambda _, *, width: courses(lines, width=width, what="Dominant eigenvalue", stop=stop, digits=places),
        caption=SHARP,
    )


def _weights(record: RunRecord, net: AlphaSupernet) -> list[object]:
    body: list[object] = []
    cell = "cells" in net.architecture
    for part, head in (("ops", "Each edge" if cell else "Each layer"), ("others", "Other choices")):
        found = strips_of(net, part)
        words = None if body else STRIPS
        drawn = figure(record, lambda _, *, width, found=found: strips(found, width=width), caption=words)
        if drawn is not None:
            body += [el("h3", head), *([] if body else [scale_key()]), drawn]
    columns = strips_of(net, "columns")
    drawn = figure(
        record,
        lambda _, *, width: final_table(columns, width=width),
        caption="Weights after the last epoch, coloured like the strips. Framed: taken.",
    )
    return [*body, el("h3", "Each input column"), drawn] if drawn is not None else body


def _gaps(found: AlphaRecord) -> Markup:
    metric, places = found.metric, digits(found.metric)
    name = metric.replace("_", " ").replace("ic", "IC")
    rows: list[list[object]] = []
    for number, net in enumerate(found.supernets, start=1):
        suffix = f", supernet {number}" if len(found.supernets) > 1 else ""
        for what, scores, change in (
            ("relaxed network", net.gap.relaxed, {}),
            ("its architecture, shared weights", net.gap.path, net.gap.discretisation),
            ("the same, trained alone", net.gap.alone, net.gap.retraining),
        ):
            given = scores or {}
            row: list[object] = [what + suffix, decimal(given.get(metric), places)]
            row += [_changed(metric, change.get(metric), sign=True)]
            row += (
                [decimal(given.get("loss"), 4), _changed("loss", change.get("loss"), sign=True)]
                if metric != "loss"
                else []
            )
            rows.append(row if scores is not None else [what + suffix, "not trained", *[DASH] * (len(row) - 2)])
    header = ["", name, "change by the step", *(["loss", "change by the step"] if metric != "loss" else [])]
    return table("From the mixture to an architecture of its own", header, rows)


def _distinct(nets: Sequence[AlphaSupernet]) -> list[AlphaSupernet]:
    return list({net.digest: net for net in nets}.values())


def _own(record: RunRecord, net: AlphaSupernet) -> Markup | None:
    words: list[object] = ["digest ", el("code", net.digest[:16]), f". {describe(net.architecture)}. "]
    search = record.search
    rank = next((c.rank for c in search.candidates if c.digest == net.digest), None) if search is not None else None
    if record.champion is not None and record.champion.digest == net.digest:
        words.append("It is the champion.")
    elif rank is not None and search is not None:
        words.append(f"The search ranks it {count(rank)} of {count(search.num_scored)}.")
    return figure(record, lambda _, *, width: draw(net.architecture, width=width), caption=join(words))
