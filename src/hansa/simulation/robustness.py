"""The robustness report: what the harness found, as a page with tables and a picture, what does not hold said as plainly as what does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hansa.simulation.attacks import AnyAttack
from hansa.simulation.harness import MEAN, Found, Line, Study, lines

POINTS = 0.05
"""How far from no attack the best rule's worst case may be."""


def name_of(attack: AnyAttack) -> str:
    return attack.__struct_config__.tag  # type: ignore[return-value]


def page(title: str, intro: str, studies: Sequence[tuple[Study, Found]], picture: str = "") -> str:
    """The whole page in Markdown."""
    parts = [f"# {title}", intro]
    if picture:
        parts.append(f"![Worst and undisturbed accuracy of each rule]({picture})")
    parts += [section(study, found) for study, found in studies]
    return "\n\n".join(parts) + "\n"


def section(study: Study, found: Found) -> str:
    """One study: a table for each skew and number of attackers, and what it comes to."""
    scenario, n = study.scenario, study.scenario.clients
    shown = [f"## {study.title}"]
    shown.append(
        f"{n} clients, all in each of {scenario.rounds} rounds; mean of {study.seeds} seeds, accuracy of the last model on test rows, in "
        "percent. *Worst* is the lowest of a row's attacks with its standard deviation over seeds; *cost* is what the rule loses against "
        "the plain mean when nobody attacks, in points."
    )
    for skew, f in study.cases:
        table = lines(study, found, skew, f)
        shown += [f"### Label skew {skew:g}, {f} of {n} attack", _table(study, table), verdict(study, table)]
    return "\n\n".join(shown)


def _table(study: Study, table: Sequence[Line]) -> str:
    names = [name_of(attack) for attack in study.attacks]
    undisturbed = next(line for line in table if line.defence == MEAN).means[-1]
    rows = [["rule", "worst", "by", "no attack", "cost", *names], ["---"] * (5 + len(names))]
    for line in table:
        worst = f"**{_percent(line.means[line.worst])}** ± {100 * line.deviations[line.worst]:.1f}"
        rows.append(
            [line.defence, worst, names[line.worst], _percent(line.means[-1]), f"{100 * (undisturbed - line.means[-1]):.1f}"]
            + [_percent(line.means[place]) for place in range(len(names))]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def verdict(study: Study, table: Sequence[Line]) -> str:
    """Whether the best rule's worst case is within 5 points of no attack, and if not, by which attacks and how much."""
    undisturbed = next(line for line in table if line.defence == MEAN).means[-1]
    best = table[0]
    lost = undisturbed - best.means[best.worst]
    attack = name_of(study.attacks[best.worst])
    said = (
        f"Best in its worst case: **{best.defence}**, {_percent(best.means[best.worst])} under {attack}, {100 * lost:.1f} points below the "
        f"plain mean without attack ({_percent(undisturbed)})."
    )
    if lost <= POINTS:
        return said + f" Within {100 * POINTS:.0f} points: holds."
    names = [name_of(study.attacks[place]) for place in range(len(study.attacks)) if undisturbed - best.means[place] > POINTS]
    return said + f" Within {100 * POINTS:.0f} points: **does not hold**, because of {', '.join(names)}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def picture(studies: Sequence[tuple[Study, Found]], path: Path) -> None:
    """One panel for each study, skew and number of attackers: every rule's accuracy without attack and in its worst case, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    # Names inside the file must not change from run to run.
    matplotlib.rcParams["svg.hashsalt"] = "hansa"
    from matplotlib import pyplot

    panels = [(study, found, skew, f) for study, found in studies for skew, f in study.cases]
    across = 2
    down = -(-len(panels) // across)
    figure, axes = pyplot.subplots(down, across, figsize=(11, 3.4 * down), squeeze=False, sharex=True)
    for place, (study, found, skew, f) in enumerate(panels):
        table, axis = list(reversed(lines(study, found, skew, f))), axes[place // across][place % across]
        for height, line in enumerate(table):
            axis.plot([100 * line.means[line.worst], 100 * line.means[-1]], [height, height], color="0.75", zorder=1)
        axis.scatter([100 * line.means[-1] for line in table], range(len(table)), color="tab:blue", label="no attack", zorder=2)
        axis.scatter([100 * line.means[line.worst] for line in table], range(len(table)), color="tab:red", label="worst attack", zorder=2)
        axis.set_yticks(range(len(table)), [line.defence for line in table], fontsize=8)
        axis.set_title(f"{study.title}\nlabel skew {skew:g}, {f} of {study.scenario.clients} attack", fontsize=9)
        axis.grid(axis="x", color="0.9")
    for place in range(len(panels), down * across):
        axes[place // across][place % across].axis("off")
    figure.legend(*axes[0][0].get_legend_handles_labels(), fontsize=8, loc="upper left", ncol=2)
    for axis in axes[-1]:
        axis.set_xlabel("test accuracy, percent", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
