"""Small templates to break, and facts to fill them with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from notifier.catalog import Catalog, CatalogError, Facts, Template, load_catalog

SHIPPED = Path(__file__).parents[3] / "config" / "templates"

GOOD = """\
name: parcel
category: UTILITY
ttl: 6h
parameters:
  name:
    source: customer.name
    format: first_name
    default: there
    example: Sara
  number:
    source: [order_number, order_id]
    example: "10482"
  total:
    source: order.total
    format: money
    default: as agreed
    example: SAR 249.00
locales:
  en:
    header: On its way
    body: Hi {{name}}, your order {{number}} for {{total}} has left our house.
    footer: Reply STOP to stop.
    buttons:
      - type: url
        text: Track
        url: https://track.example/t/{{number}}
      - type: quick_reply
        text: Stop updates
        payload: STOP_UPDATES:{{number}}
    sms: "Order {{number}} has left our house. Total: {{total}}."
"""


def catalog_of(folder: Path, text: str, name: str = "parcel") -> Catalog:
    """The catalog of one file."""
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return load_catalog(folder)


def faults_of(folder: Path, text: str, name: str = "parcel") -> list[str]:
    """What is wrong with one file, as an operator reads it; empty when nothing is."""
    try:
        catalog_of(folder, text, name)
    except CatalogError as error:
        return [str(fault) for fault in error.faults]
    return []


def parcel(folder: Path, text: str = GOOD) -> Template:
    """The template of one good file."""
    return catalog_of(folder, text).get("parcel")


def facts(timezone: str = "Asia/Riyadh", shop_name: str = "Jasmine Store", **event: Any) -> Facts:
    """Facts with the least that an event has, and what is given."""
    least = {"shop": "jasmine", "event": "order.shipped", "order_id": "5551"}
    return Facts({**least, **event}, shop_name, timezone)
