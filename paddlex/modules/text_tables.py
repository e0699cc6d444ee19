"""Tables of numbers for people, as plain text."""

from __future__ import annotations

import io
import math

from rich import box
from rich.console import Console
from rich.table import Table

__all__ = ["class_cell", "new_table", "percent", "table_text"]


def new_table(first: str, *numbers: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(box=box.SIMPLE)
    table.add_column(first)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def class_cell(name: object) -> str:
    """The name of a class; square brackets in it are no markup."""
    return str(name).replace("[", r"\[")


def percent(value: float) -> str:
    """A share as percent with one digit, a dash for NaN."""
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def table_text(table: Table) -> str:
    """Plain text: it also goes into log files."""
    console = Console(file=io.StringIO(), width=110, color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines() if line.strip())
