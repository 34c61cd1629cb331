"""What `notifier up` warns of when it starts: it would run, and something would not work."""

from __future__ import annotations

from collections.abc import Iterator

from notifier.cli.checks_setup import is_open, missing_secrets
from notifier.settings import Settings, source_secret_name, source_secrets_of, unknown_variables


def misgivings(settings: Settings, *, sandbox: bool) -> Iterator[str]:
    """A sentence for each. sandbox: senders have secrets to practise with."""
    lacking = sorted({variable for _, variable, _ in missing_secrets(settings)})
    if lacking and not sandbox:
        yield f"these senders' secrets are not set, and without them nothing is sent or believed: {', '.join(lacking)}"
    unsigned = [
        source_secret_name(shop, source)
        for shop, of_shop in settings.shops.items()
        for source in of_shop.sources
        if not source_secrets_of(shop, source)
    ]
    if unsigned:
        yield f"webhooks of these sources are refused until their secret is set: {', '.join(unsigned)}"
    unknown = unknown_variables()
    if unknown:
        yield f"nothing here reads {', '.join(unknown)}"
    if is_open(settings.data_dir):
        yield f"others can read {settings.data_dir.absolute()}, which holds phones: chmod 700 {settings.data_dir}"
