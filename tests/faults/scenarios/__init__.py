"""The named runs: what is asked of a site, what is done to it, and what must hold."""

from collections.abc import Callable, Coroutine
from typing import Any

from tests.faults.judging import Asked
from tests.faults.report import Report
from tests.faults.scenarios.cancels import cancels
from tests.faults.scenarios.collect import collect
from tests.faults.scenarios.crowd import crowd, repeats
from tests.faults.scenarios.failpoints import failpoints
from tests.faults.scenarios.planted import planted
from tests.faults.scenarios.proxy import proxy
from tests.faults.scenarios.short import short
from tests.faults.scenarios.single import alone, frozen_database, frozen_worker
from tests.faults.scenarios.taps import taps

Scenario = Callable[[Asked], Coroutine[Any, Any, list[Report]]]

SCENARIOS: dict[str, Scenario] = {
    "short": short,
    "alone": alone,
    "repeats": repeats,
    "frozen-worker": frozen_worker,
    "frozen-database": frozen_database,
    "crowd": crowd,
    "failpoints": failpoints,
    "planted": planted,
    "cancels": cancels,
    "collect": collect,
    "proxy": proxy,
    "taps": taps,
}
