"""The short form of the faults on purpose; `make soak` is the long one."""

from pathlib import Path

import pytest

from tests.faults.scenarios.short import SIZE, short_round
from tests.faults.site import SHORT, opened
from tests.fixtures.services import Services


@pytest.mark.timeout(300)
async def test_what_is_promised_holds_under_kills_a_flush_and_a_restart(
    services: Services, redis_url: str, tmp_path: Path
):
    lent = services | {"redis": redis_url}
    async with opened(tmp_path, SHORT, seed=4, size=SIZE, lent=lent) as site:
        report = await short_round(site)
    print(report.text())
    assert report.holds, report.text()
