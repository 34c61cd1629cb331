"""Loading the catalog: every file read strictly, every fault of every file told at once with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from notifier.catalog.errors import CatalogError, CatalogFault, UnknownTemplate, nearest
from notifier.catalog.lint import lint
from notifier.catalog.template import ButtonSpec, Locale, Param, Template
from notifier.catalog.tree import Finding, Pointer, Tree

_TEMPLATE = TypeAdapter(Template)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All templates, by name."""

    templates: Mapping[str, Template]

    def get(self, name: str) -> Template:
        """The template of that name. Raises UnknownTemplate, which names the nearest one."""
        try:
            return self.templates[name]
        except KeyError:
            raise UnknownTemplate(name, self.templates) from None


def load_catalog(folder: Path) -> Catalog:
    """Every `*.yaml` of a folder, one template a file. Raises CatalogError with all faults, each with file and line."""
    if not folder.is_dir():
        raise CatalogError([CatalogFault(str(folder), 0, "is no folder", "point to the folder of the templates")])
    faults = [_misnamed(path) for path in sorted(folder.glob("*.yml"))]
    templates = {}
    for path in sorted(folder.glob("*.yaml")):
        template, found = _load(path)
        faults += found
        if template is not None:
            templates[template.name] = template
    if not templates and not faults:
        faults.append(CatalogFault(str(folder), 0, "holds no template", "add a .yaml file: see docs/templates.md"))
    if faults:
        raise CatalogError(faults)
    return Catalog(templates)


def _misnamed(path: Path) -> CatalogFault:
    return CatalogFault(path.name, 0, "ends in .yml and would be passed over", f"rename it to {path.stem}.yaml")


def _load(path: Path) -> tuple[Template | None, list[CatalogFault]]:
    """One file: the template as far as it can be built, and all that is wrong with it."""
    try:
        tree = Tree(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"cannot be read ({error.strerror})"
        return None, [CatalogFault(path.name, 0, reason, "save it as UTF-8, readable for this user")]
    template, findings = _check(tree, path.stem)
    return template, [CatalogFault(path.name, tree.line(found.pointer), *found[1:]) for found in findings]


def _check(tree: Tree, stem: str) -> tuple[Template | None, list[Finding]]:
    findings = list(tree.findings)
    if not isinstance(tree.value, dict):
        empty = Finding((), "holds no template", "start with name:, category:, ttl:, parameters: and locales:")
        return None, findings or [empty]
    findings += _unknown_keys(tree.value)
    try:
        template = _TEMPLATE.validate_python(tree.value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, findings + [_finding(detail) for detail in details]
    if template.name != stem:
        findings.append(
            Finding(("name",), f"the file is called {stem}.yaml", f"call both {template.name}, or both {stem}")
        )
    return template, findings + list(lint(template))


_SHAPES: tuple[tuple[tuple[str, ...], type], ...] = (
    ((), Template),
    (("parameters", "*"), Param),
    (("locales", "*"), Locale),
    (("locales", "*", "buttons", "*"), ButtonSpec),
)
"""Where in a file which shape is written: the keys that may stand there are its fields. `*` is any name or number."""


def _keys_at(pointer: Pointer) -> tuple[str, ...]:
    for place, shape in _SHAPES:
        if len(place) == len(pointer) and all(p in ("*", at) for p, at in zip(place, pointer, strict=True)):
            return tuple(field.name for field in fields(shape))
    return ()


def _unknown_keys(value: Any, at: Pointer = ()) -> Iterator[Finding]:
    """A misspelled key would otherwise be a wording that silently never shows."""
    known = _keys_at(at)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if known and key not in known:
            meant = nearest(str(key), known)
            remedy = f"did you mean {meant}?" if meant else f"the keys here are {', '.join(known)}"
            yield Finding((*at, key), f"unknown key {key}", remedy)
        else:
            yield from _unknown_keys(inner, (*at, key))


_REMEDIES: Mapping[str, tuple[str, str]] = {
    "missing": ("is missing", "add it"),
    "string_type": ("must be text", "put it in quotes"),
    "string_too_short": ("is empty", "write it, or leave the key out"),
    "int_type": ("must be a whole number", "write it without quotes"),
    "greater_than_equal": ("is too small", "write 1 or more"),
    "dict_type": ("must be a block of keys", "write one `key: text` on each line below it"),
    "dataclass_type": ("must be a block of keys", "write one `key: text` on each line below it"),
    "tuple_type": ("must be a list", "begin each entry below it with `- `"),
}


def _finding(detail: ErrorDetails) -> Finding:
    pointer = tuple(detail["loc"])
    name = ".".join(map(str, pointer)) or "the file"
    if detail["type"] == "literal_error":
        return Finding(pointer, f"{name} is none of the known words", f"write {detail['ctx']['expected']}")
    if detail["type"] == "value_error":
        return Finding(pointer, f"{name} cannot be read", str(detail["ctx"]["error"]))
    problem, remedy = _REMEDIES.get(detail["type"], ("cannot be read", detail["msg"]))
    return Finding(pointer, f"{name} {problem}", remedy)
