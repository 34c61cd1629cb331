"""A YAML file as plain values that remember their lines.

Stricter than YAML: no aliases, no duplicate keys, keys are text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import yaml

Pointer = tuple[str | int, ...]

_READERS: Mapping[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() in ("true", "yes", "on"),
    "int": int,
    "float": float,
}


class Finding(NamedTuple):
    """Something wrong at a place in a file, before the file's name and the line are known."""

    pointer: Pointer
    problem: str
    remedy: str


class Tree:
    """The values of one file, the line of each, and what was wrong with the YAML itself.

    value: dicts, lists and scalars; None where the YAML could not be read at all.
    """

    def __init__(self, text: str) -> None:
        self.value: Any = None
        self.lines: dict[Pointer, int] = {(): 1}
        self.findings: list[Finding] = []
        self._seen: set[int] = set()
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            self._unreadable(error)
        else:
            self.value = self._read(node, ()) if node is not None else None

    def line(self, pointer: Pointer) -> int:
        """The line of a place, or of the nearest place around it that the file has."""
        while pointer not in self.lines:
            pointer = pointer[:-1]
        return self.lines[pointer]

    def _unreadable(self, error: yaml.YAMLError) -> None:
        mark = getattr(error, "problem_mark", None)
        self.lines[()] = mark.line + 1 if mark else 1
        reason = getattr(error, "problem", None) or "unreadable character"
        self.findings.append(Finding((), f"is no YAML: {reason}", "check indentation, colons and quotes around here"))

    def _read(self, node: yaml.Node, at: Pointer) -> Any:
        if not at or at not in self.lines:  # a value stands at its key
            self.lines[at] = node.start_mark.line + 1
        if id(node) in self._seen:
            self.findings.append(Finding(at, "is an alias (*name)", "write the text out: a template stands alone"))
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return {key: self._read(value, (*at, key)) for key, value in self._pairs(node, at)}
        if isinstance(node, yaml.SequenceNode):
            return [self._read(item, (*at, index)) for index, item in enumerate(node.value)]
        return _scalar(node)

    def _pairs(self, node: yaml.MappingNode, at: Pointer) -> Iterator[tuple[str, yaml.Node]]:
        for key, value in node.value:
            # Keys stay as they are spelled: `no:` is Norwegian here, not False.
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            if (*at, name) in self.lines:
                self.findings.append(Finding((*at, name), f"the key {name} is here twice", "keep one of them"))
            self.lines[(*at, name)] = key.start_mark.line + 1
            yield name, value


def _scalar(node: yaml.Node) -> Any:
    read = _READERS.get(node.tag.rpartition(":")[2], str)
    try:
        return read(node.value)
    except ValueError:
        return str(node.value)  # 1_000, 0x1F, 1:30: YAML's odder numbers are text here
