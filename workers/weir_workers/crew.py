"""The processes of a worker: a child for each pack, and a nursery where the pack has `def` handlers."""

from dataclasses import dataclass

from weir_workers.child import Child
from weir_workers.runs.process import Nurseries
from weir_workers.wards.ward import Wards


@dataclass(frozen=True, slots=True)
class Crew:
    """All of them, and what keeps them alive."""

    wards: Wards
    children: list[Child]
    nurseries: Nurseries


async def start_all(packs: list[str]) -> Crew:
    """The crew for some packs; ChildGone, and nobody left, where one does not come up."""
    wards = Wards()
    crew = Crew(wards, [], Nurseries(wards))
    try:
        for pack in packs:
            child = await Child.start(pack, wards)
            crew.children.append(child)
            await crew.nurseries.add(child)
    except BaseException:
        await crew.nurseries.kill()
        for child in crew.children:
            await child.kill()
        raise
    return crew
