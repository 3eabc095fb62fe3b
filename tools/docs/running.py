"""What who runs Weir looks up: settings, roles, metrics."""

from datetime import timedelta
from typing import Any, cast

from prometheus_client import Metric
from pydantic import SecretStr

from tools.docs.markdown import code, codes, size, span, table
from weir_core.config import Settings
from weir_core.users.permissions import ROLES
from weir_server.interceptors.metrics import Metrics


def settings() -> str:
    """Every variable with its default."""
    rows = [
        (code(f"WEIR_{name.upper()}"), _default(name, field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return table(("variable", "default", "what it is"), rows)


def roles() -> str:
    """What each role allows."""
    rows = [(code(role.name), role.description, codes(sorted(role.rights))) for role in ROLES.values()]
    return table(("role", "for", "permissions"), rows)


def metrics() -> str:
    """What `/metrics` tells."""
    found: list[Metric] = list(Metrics().registry.collect())
    rows = [
        (
            code(metric.name + ("_total" if metric.type == "counter" else "")),
            metric.type,
            metric.documentation,
        )
        for metric in found
    ]
    return table(("metric", "kind", "what it counts"), rows)


def _default(name: str, value: Any) -> str:
    match value:
        case SecretStr() | "":
            return ""
        case bool():
            return code(str(value).lower())
        case timedelta():
            return code(span(value))
        case int() if name.endswith("_bytes"):
            return code(size(value).replace(" ", ""))
        case list():
            return code(",".join(cast("list[str]", value)))
        case _:
            return code(value)
