"""The page at /docs: shows the OpenAPI and tries calls. One file of ours that loads nothing from anywhere else, so that
it works in a closed network, and nobody else's script ever sees a key that is typed into it."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route


def docs_route(openapi_path: str) -> Route:
    """GET /docs."""
    page = (files("notifier.gateway") / "docs_page.html").read_text(encoding="utf-8")
    page = page.replace("OPENAPI_PATH", openapi_path)
    headers = {
        "Content-Security-Policy": (
            f"default-src 'none'; connect-src 'self'; script-src {_hashes(page, 'script')};"
            f" style-src {_hashes(page, 'style')}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    async def docs(request: Request) -> Response:
        return HTMLResponse(page, headers=headers)

    return Route("/docs", docs, include_in_schema=False)


def _hashes(page: str, tag: str) -> str:
    """What the page holds in these tags and nothing else may run, or style."""
    found = re.findall(f"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found)
    return " ".join(f"'sha256-{digest}'" for digest in digests)
