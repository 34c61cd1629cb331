"""Telemetry: one call, `note`, turns a signal of `signals.SIGNALS` into a log line and moves its metrics.

A name or a key outside the table is an error under pytest; elsewhere it is left out and counted, so that a forgotten
key costs a log field and never shows a customer's phone number. In production `note` never fails its caller.

Backends load this module through `notify()`, so structlog and prometheus_client are imported by the first note, and
until `configure` is called (every process of our own does) lines go to the stdlib logger "notifier": the host's affair.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from notifier.signals import GAUGES, SIGNALS, Metric, Signal

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

# Up to an hour: the message that waited for a retry or for a sender's limit is the one an operator looks for.
BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
TEXT_LENGTH = 300  # characters of any text in a log line: enough for a reason, too short for a body

_ERROR = "error"  # the one key that every signal may carry besides its own: an exception, reduced to type and message
_SCRUBBED = (
    (re.compile(r"//[^/\s@]+@"), "//…@"),  # user and password of a URL
    (re.compile(r"[^\s@<>'\"]+@[^\s@<>'\"]+\.\w+"), "…@…"),  # e-mail
    (re.compile(r"\+?\d(?:[\s().-]?\d){6,}"), "…"),  # phone, however it is written
    (re.compile(r"[A-Za-z0-9_\-+/=]{32,}"), "…"),  # token, signature
)


_Mover = Callable[[Mapping[str, object]], None]
_making = threading.Lock()


class Misuse(Exception):
    """A signal or key that the table does not know; raised under pytest only. Add it to notifier/signals.py."""


class Sample(NamedTuple):
    """The value of a gauge of `GAUGES` at scrape time."""

    gauge: str
    labels: Mapping[str, str]
    value: float


def note(signal: str, /, **fields: object) -> None:
    """Log one event and move its metrics. `fields`: exactly the keys of the table, and `error` (an exception or text).

    Durations are seconds or timedelta. Raises Misuse under pytest for a wrong name or key; otherwise never.
    """
    known = SIGNALS.get(signal)
    if known is None:
        _misuse(f"no signal is named {signal}")
        return
    if fields.keys() != known.key_set:
        fields = _fitted(known, fields)
    for move in _movers()[signal]:
        move(fields)
    if known.level is not None:
        _write(logging.getLevelNamesMapping()[known.level.upper()], signal, fields)


def configure(level: str = "INFO", json: bool | None = None, stream: TextIO | None = None) -> None:
    """Send our lines, and those of libraries at WARNING and above, to `stream` (default: stderr).

    json None: JSON lines, except on a terminal, where people read. With level DEBUG the libraries speak at DEBUG too.
    """
    structlog = _structlog()
    out = sys.stderr if stream is None else stream
    as_json = not out.isatty() if json is None else json
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    _sink.logger = structlog.wrap_logger(
        structlog.WriteLogger(out),
        processors=[structlog.processors.add_log_level, stamp, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )
    libraries = logging.DEBUG if level == "DEBUG" else max(logging.WARNING, logging.getLevelNamesMapping()[level])
    logging.basicConfig(level=libraries, handlers=[_LibraryHandler()], force=True)


def _structlog() -> ModuleType:
    """structlog without rich, which it would load to paint tracebacks that we never print: 4 MB of every process."""
    if "structlog" in sys.modules or "rich" in sys.modules:
        return import_module("structlog")
    sys.modules["rich"] = None  # type: ignore[assignment]  # nowhere to be found, for a moment
    try:
        return import_module("structlog")
    finally:
        del sys.modules["rich"]


def describe(error: BaseException) -> str:
    """Type and first line of the message, without phones, addresses, credentials or tokens."""
    return f"{type(error).__name__}: {scrub(str(error))}".removesuffix(": ")


def place_of(error: Exception) -> str:
    """Type and place of an exception, innermost last, without its message."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return f"{type(error).__name__} at " + " > ".join(f"{Path(one.filename).name}:{one.lineno}" for one in frames)


def scrub(text: str) -> str:
    """The first line of foreign text (databases put values in the later ones), bounded, personal data replaced."""
    line = text.strip().partition("\n")[0].partition("[SQL:")[0]
    for pattern, instead in _SCRUBBED:
        line = pattern.sub(instead, line)
    return line[:TEXT_LENGTH]


def exposition(samples: Iterable[Sample] = ()) -> bytes:
    """Prometheus text of this process (with PROMETHEUS_MULTIPROC_DIR: of all processes that share it) and `samples`."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import GaugeMetricFamily

    families: dict[str, GaugeMetricFamily] = {}
    for gauge, labels, value in samples:
        known = GAUGES[gauge]
        family = families.setdefault(gauge, GaugeMetricFamily(gauge, known.help, labels=known.labels))
        family.add_metric([labels[label] for label in known.labels], value)
    now = CollectorRegistry(auto_describe=False)
    now.register(_Fixed(list(families.values())))
    return generate_latest(_registry()) + generate_latest(now)


def serve_metrics(port: int, host: str = "127.0.0.1") -> int:
    """Answer /metrics of this process from a thread, for workers. Port 0 takes a free one. Returns the port."""
    from prometheus_client import start_http_server

    _movers()
    server, _ = start_http_server(port, host, registry=_registry())
    return server.server_port


class _Sink:
    """Where lines go. Before `configure`: the host's logging, under the name notifier."""

    logger: Any = None


_sink = _Sink()


class _Fixed:
    """A collector of families that are already made."""

    def __init__(self, families: list[Any]) -> None:
        self._families = families

    def collect(self) -> Iterable[Any]:
        return self._families


class _LibraryHandler(logging.Handler):
    """Lines of Celery, uvicorn, SQLAlchemy and the rest, scrubbed and in our form."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields: dict[str, object] = {"logger": record.name, "message": scrub(record.getMessage())}
            if record.exc_info and record.exc_info[1] is not None:
                fields[_ERROR] = record.exc_info[1]
            _write(record.levelno, "library", fields)
        except Exception:  # the contract of logging.Handler: a line that cannot be written must not fail its caller
            self.handleError(record)


def _write(level: int, signal: str, fields: Mapping[str, object]) -> None:
    shown = {key: _shown(value) for key, value in fields.items()}
    if _sink.logger is not None:
        with suppress(OSError):  # a log on a full disk: a drain that ends through it loses track of its messages
            _sink.logger.log(level, signal, **shown)
    else:
        pairs = " ".join(f"{key}={value}" for key, value in shown.items())
        logging.getLogger("notifier").log(level, "%s %s", signal, pairs)


def _shown(value: object) -> object:
    """Ids, states, codes, counts and durations pass; anything richer is reduced to what it is."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        return re.sub(r"\+\d{7,15}", "…", value[:TEXT_LENGTH])
    if isinstance(value, BaseException):
        return describe(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(item) for item in value]
    return type(value).__name__


def _fitted(known: Signal, fields: Mapping[str, object]) -> dict[str, object]:
    """The fields that the table allows, absent ones as None: a reader of logs never meets a missing key."""
    unknown = sorted(fields.keys() - known.key_set - {_ERROR})
    absent = sorted(known.key_set - fields.keys())
    if unknown or absent:
        _misuse(f"{known.name}: keys not in the table: {unknown or 'none'}; keys missing: {absent or 'none'}")
    fitted = {key: fields.get(key) for key in known.keys}
    return {**fitted, _ERROR: fields[_ERROR]} if _ERROR in fields else fitted


def _misuse(problem: str) -> None:
    if "PYTEST_VERSION" in os.environ:  # pytest sets it for exactly this question; child processes inherit it
        raise Misuse(f"{problem}; notifier/signals.py is the table")
    note("telemetry.dropped", problem=problem)


@cache
def _registry() -> CollectorRegistry:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared


def _movers() -> dict[str, list[_Mover]]:
    with _making:  # two first notes at once would register every metric twice, which Prometheus refuses
        return _made_movers()


@cache
def _made_movers() -> dict[str, list[_Mover]]:
    """The metrics of every signal, each as a function of the fields."""
    return {name: [_mover(metric) for metric in signal.metrics] for name, signal in SIGNALS.items()}


def _mover(metric: Metric) -> _Mover:
    from prometheus_client import Counter, Histogram

    if metric.kind == "histogram":
        histogram = Histogram(metric.name, metric.help, metric.label_names, buckets=BUCKETS_SECONDS)
        return partial(_observe, metric, _children(histogram))
    return partial(_count, metric, _children(Counter(metric.name, metric.help, metric.label_names)))


def _children(family: Any) -> Callable[..., Any]:
    """The child of a family for each set of labels. Kept: the library's own look-up makes texts of them, and locks."""
    return cache(lambda *labels: family.labels(*labels) if labels else family)


def _observe(metric: Metric, child: Callable[..., Any], fields: Mapping[str, object]) -> None:
    histogram = child(*_labels(metric, fields))
    for field in metric.fields:
        histogram.observe(_number(fields[field]))


def _count(metric: Metric, child: Callable[..., Any], fields: Mapping[str, object]) -> None:
    labels = _labels(metric, fields)
    if not metric.fields:
        child(*labels).inc()
    for field in metric.fields:
        full = (*labels, field) if metric.by_field else labels
        child(*full).inc(_number(fields[field]))


def _labels(metric: Metric, fields: Mapping[str, object]) -> list[str]:
    return ["" if (value := fields[label]) is None else str(value) for label in metric.labels]


def _number(value: object) -> float:
    """Never negative and never an exception: a wrong figure must not stop the drain that reports it."""
    if isinstance(value, timedelta):
        return max(0.0, value.total_seconds())
    return max(0.0, float(value)) if isinstance(value, int | float) else 0.0
