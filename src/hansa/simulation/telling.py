"""What a person sees of the demo: one line for each thing that happens, tables at the end; every figure comes from the run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from rich.console import Console
from rich.status import Status as Spinner
from rich.table import Table

from hansa.core.errors import HansaError
from hansa.monitoring.audit import AuditReport
from hansa.simulation.balances import Books
from hansa.simulation.plan import TOKEN

WIDTH = 118


def money(amount: int) -> str:
    """An amount in tokens with two decimals."""
    return f"{amount / TOKEN:,.2f}"


class Telling:
    """Prints to a console; with `quiet` nothing at all, for programs."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(quiet=quiet, highlight=False, width=None if Console().is_terminal else WIDTH)

    def title(self, text: str) -> None:
        self.console.print(f"\n[bold]{text}[/bold]")

    def say(self, text: str) -> None:
        self.console.print(f"  {text}")

    def good(self, text: str) -> None:
        self.console.print(f"  [green]✓[/green] {text}")

    def bad(self, text: str) -> None:
        self.console.print(f"  [red]✗[/red] {text}")

    def check(self, holds: bool, text: str) -> bool:
        (self.good if holds else self.bad)(text)
        return holds

    def working(self, text: str) -> AbstractContextManager[Spinner]:
        return self.console.status(f"  {text}")

    def round_head(self) -> None:
        self.console.print(
            f"  [dim]{'round':>5} {'loss':>8} {'accuracy':>9} {'hospitals':>10} {'verifiers':>10} {'gas':>8} {'seconds':>8}"
            "  anchored by     in transaction[/dim]"
        )

    def round_line(
        self, number: int, loss: float, accuracy: float, trainers: str, verifiers: str, gas: int, seconds: float, by: str, transaction: str
    ) -> None:
        figures = f"{number:>5} {loss:>8.4f} {accuracy:>8.1%} {trainers:>11} {verifiers:>10} {gas:>8,} {seconds:>8.1f}"
        self.console.print(f"  {figures}  {by:<14}  0x{transaction[:16]}…")

    def balances(self, before: Books, after: Books) -> None:
        table = Table("account", "before", "after", "change", "staked", box=None, pad_edge=False, padding=(0, 3, 0, 2))
        for column in table.columns[1:]:
            column.justify = "right"
        for name, purse in after.purses.items():
            change = purse.total - before.purses[name].total
            table.add_row(name, money(before.purses[name].total), money(purse.total), f"{change / TOKEN:+,.2f}", money(purse.staked))
        self.console.print(table)

    def lineage(self, report: AuditReport, names: dict[str, str]) -> None:
        """Data sets, then rounds, then the model: the way it came."""
        seen: dict[str, set[str]] = {}
        for record in report.rounds:
            for part in record.contributions:
                seen.setdefault(part.dataset, set()).add(names.get(part.trainer, part.trainer))
        for dataset, owners in seen.items():
            self.say(f"data set {dataset[:16]}… of {', '.join(sorted(owners))}: salted digest, inside its signed updates")
        for record in report.rounds:
            step = f"{record.base[:10]}… → {record.model[:10]}…  {len(record.contributions)} signed updates"
            made = f"anchored by {names.get(record.coordinator, record.coordinator)}"
            self.say(f"round {record.round}.{record.attempt}: {step}, {made}, {len(record.verifiers)} verifiers")

    def comparison(self, rows: Sequence[tuple[str, str, float, float]]) -> None:
        table = Table("model", "trained on", "accuracy", "loss", box=None, pad_edge=False, padding=(0, 3, 0, 2))
        for name, rows_used, accuracy, loss in rows:
            bold = "[bold]" if name == "federated" else ""
            table.add_row(f"{bold}{name}", f"{bold}{rows_used}", f"{bold}{accuracy:.1%}", f"{bold}{loss:.3f}")
        self.console.print(table)

    def curves(self, title: str, rows: dict[str, list[float]]) -> None:
        """Shares by round, one line for each of `rows`."""
        numbers = [str(number + 1) for number in range(max(map(len, rows.values())))]
        table = Table(f"  {title}", *numbers, box=None, pad_edge=False, padding=(0, 3, 0, 2))
        for name, shares in rows.items():
            table.add_row(f"  {name}", *(f"{share:.1%}" for share in shares))
        self.console.print(table)

    def refused(self, error: HansaError) -> None:
        self.bad(str(error))
