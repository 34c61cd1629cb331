"""The mappings of config/mappings: read once, linted with file and line, handed to the sources that name them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from notifier.catalog.errors import CatalogFault
from notifier.catalog.tree import Pointer, Tree
from notifier.events import NotifierError
from notifier.sources.contract import SourceShop
from notifier.sources.generic import GenericOptions
from notifier.sources.mapping import BodyMapping, compile_mapping


class MappingError(NotifierError):
    """The mappings cannot be used. `faults` holds every fault of every file, in order of file and line."""

    def __init__(self, faults: list[CatalogFault]) -> None:
        self.faults = tuple(sorted(faults))
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n".join([f"the mappings have {count}:", *map(str, self.faults)]))


def load_mappings(config_dir: Path) -> dict[str, BodyMapping]:
    """Every mapping of `config_dir`/mappings by its file's name; none where there is no such folder.

    Raises MappingError with every fault at once.
    """
    found: dict[str, BodyMapping] = {}
    faults: list[CatalogFault] = []
    for path in sorted((config_dir / "mappings").glob("*.yaml")):
        mapping, wrong = read_mapping(path)
        faults += wrong
        if mapping:
            found[mapping.name] = mapping
    if faults:
        raise MappingError(faults)
    return found


def read_mapping(path: Path) -> tuple[BodyMapping | None, list[CatalogFault]]:
    """One file, and what is wrong with it."""
    try:
        tree = Tree(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return None, [CatalogFault(str(path), 0, "cannot be read", error.__class__.__name__)]
    if tree.findings:
        return None, list(_placed(path, tree, tree.findings))
    mapping, lints = compile_mapping(path.stem, tree.value)
    return mapping, list(_placed(path, tree, lints))


def with_mapping(shop: SourceShop, mappings: Mapping[str, BodyMapping]) -> SourceShop:
    """The same, with the mapping that its options name. Raises NotifierError where there is none of that name."""
    options = shop.options
    if not isinstance(options, GenericOptions) or options.mapping is None:
        return shop
    if options.mapping not in mappings:
        there = ", ".join(sorted(mappings)) or "none"
        raise NotifierError(f"no mapping is called {options.mapping}; config/mappings has {there}")
    return replace(shop, options=options.model_copy(update={"loaded": mappings[options.mapping]}))


def _placed(path: Path, tree: Tree, findings: Iterable[tuple[Pointer, str, str]]) -> Iterator[CatalogFault]:
    for pointer, problem, remedy in findings:
        place = ".".join(str(part) for part in pointer)
        yield CatalogFault(str(path), tree.line(pointer), f"{place}: {problem}" if place else problem, remedy)
