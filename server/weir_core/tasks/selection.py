"""Which tasks a watch of many is about: `=` terms joined by AND, for SQL and for what is heard."""

from dataclasses import dataclass
from typing import Any, Final

from weir_core.errors import FilterInvalid, Violation
from weir_core.filtering import And, Compare, Filterable, Node, parse, to_sql
from weir_core.tasks.change_repository import Look
from weir_core.tasks.service import FILTERS
from weir_core.tasks.states import TaskState

_NAMES: Final = ("project", "type", "queue", "state", "labels", "schedule_id", "parent_task_id")
_FIELDS: Final = {name: FILTERS[name] for name in _NAMES}


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter, read."""

    conditions: list[Any]
    """All of it, for SQL."""
    terms: list[tuple[str, Any]]
    """What must be equal, but for the state."""
    states: frozenset[TaskState] | None
    """None: any."""

    def fits(self, look: Look) -> bool:
        """True where all but the state is as wanted."""
        return all(_value(look, path) == wanted for path, wanted in self.terms)

    def takes(self, *states: TaskState) -> bool:
        """True where one of the states is wanted."""
        return self.states is None or not self.states.isdisjoint(states)


def selection(text: str) -> Selection:
    """Read a filter; FilterInvalid where it is more than equal terms that all hold."""
    found = _terms(parse(text))
    conditions = [condition for term in found for condition in to_sql(term, _FIELDS)]
    terms: list[tuple[str, Any]] = []
    states: frozenset[TaskState] | None = None
    for term in found:
        field = _FIELDS.get(term.path)
        value = field.convert(term.value) if isinstance(field, Filterable) else term.value
        if term.path == "state":
            states = frozenset({TaskState(value)}) & (states or {TaskState(value)})
        else:
            terms.append((term.path, value))
    return Selection(conditions, terms, states)


def _terms(node: Node | None) -> list[Compare]:
    match node:
        case None:
            return []
        case And(items):
            return [term for item in items for term in _terms(item)]
        case Compare(_, "=", _):
            return [node]
        case _:
            wrong = "a watch takes `=` terms joined by AND, nothing else"
            raise FilterInvalid(Violation("filter", wrong))


def _value(look: Look, path: str) -> Any:
    field, _, entry = path.partition(".")
    if field == "labels":
        return look.labels.get(entry)
    return look.parent_id if field == "parent_task_id" else getattr(look, field)
