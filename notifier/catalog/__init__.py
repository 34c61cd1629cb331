"""The template catalog: load, lint, render; locales; SMS text and segments.

Knows events and the channel contract, and nothing else of notifier.
"""

from notifier.catalog.errors import CatalogError, CatalogFault, RenderError, UnknownTemplate
from notifier.catalog.load import Catalog, load_catalog
from notifier.catalog.locales import pick_locale
from notifier.catalog.meta import creation_payload
from notifier.catalog.render import render_template, render_text
from notifier.catalog.sources import Facts
from notifier.catalog.template import Template

__all__ = [
    "Catalog",
    "CatalogError",
    "CatalogFault",
    "Facts",
    "RenderError",
    "Template",
    "UnknownTemplate",
    "creation_payload",
    "load_catalog",
    "pick_locale",
    "render_template",
    "render_text",
]
