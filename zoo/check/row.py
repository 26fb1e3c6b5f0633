"""A row of what ``zoo check`` says: how far one file came."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """How far a file came: its text was read, every layer of its nets was built with its shapes, and they
    were run forward. ``kind`` is net, solver, or "solver with net"; ``phases`` those in which the net was
    checked; ``reason`` the one line that says what stopped it, or what a solver without a net is.
    """

    file: str
    kind: str = ""
    phases: list[str] = field(default_factory=list)
    parsed: bool = False
    built: bool = False
    ran: bool = False
    reason: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether nothing is wrong with the file: its nets ran, or it is a solver that names its net."""
        return self.ran or (self.kind == "solver" and self.parsed)


@dataclass(frozen=True)
class CheckJob:
    """One file to check, and what it may use: ``seconds`` and bytes of ``memory`` of a process with so many
    ``threads``; ``shapes`` are those of inputs by blob, for the nets that have such.
    """

    path: Path
    name: str
    shapes: dict[str, tuple[int, ...]]
    dialect: str | None
    allow_python: bool
    seconds: int
    memory: int
    threads: int

    @property
    def too_large(self) -> str:
        """The reason of a file that needs more memory."""
        return f"needs more than {self.memory / 2**30:g} GiB of memory"

    @property
    def too_long(self) -> str:
        """The reason of a file that takes more time."""
        return f"takes longer than {self.seconds} s"
