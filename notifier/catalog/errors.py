"""What can go wrong with the catalog. A message says where and how to mend it, and never repeats a customer's data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from notifier.events import NotifierError


@dataclass(frozen=True, slots=True, order=True)
class CatalogFault:
    """One thing wrong in one file. line counts from 1; 0 where the file or folder as a whole is meant."""

    file: str
    line: int
    problem: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.problem} - {self.remedy}"


class CatalogError(NotifierError):
    """The catalog cannot be used. `faults` holds every fault of every file, in order of file and line."""

    def __init__(self, faults: Iterable[CatalogFault]) -> None:
        self.faults = tuple(sorted(faults))
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n".join([f"the template catalog has {count}:", *map(str, self.faults)]))


class UnknownTemplate(NotifierError):
    """No template has that name. `nearest` is the name that was probably meant, if any comes close."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.nearest = nearest(name, known)
        hint = f"did you mean {self.nearest}?" if self.nearest else "see config/templates for the names"
        super().__init__(f"no template is called {name!r}: {hint}")


class RenderError(NotifierError):
    """A template cannot be filled from these facts. Names what is missing, never what was there.

    parameter: None where the locale as a whole is meant.
    """

    def __init__(self, template: str, locale: str, parameter: str | None, missing: str) -> None:
        self.template = template
        self.locale = locale
        self.parameter = parameter
        self.missing = missing
        where = f"template {template} ({locale})" + (f", parameter {parameter}" if parameter else "")
        super().__init__(f"{where}: {missing}")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    return next(iter(get_close_matches(word, sorted(known), n=1)), None)
