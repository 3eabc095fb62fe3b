"""Parts that must name each other, and would be forgotten in silence.

That every error has a status stands in tests/server/test_status.py, that every RPC is closed in
tests/security/test_every_method.py, that tables and migrations agree in tests/core/test_migrations.py.
"""

import ast
from pathlib import Path

from weir import errors as sdk
from weir_core import errors as core
from weir_core.errors import WeirError

ROOT = Path(__file__).parents[2]


def test_every_domain_with_tables_is_known_to_the_migrations():
    # Else a whole domain could lack its migration, and the comparison would not see it.
    models = (ROOT / "server/weir_core").glob("*/models.py")
    with_tables = {path.parent.name for path in models if "= Table(" in path.read_text()}
    environment = ast.parse((ROOT / "migrations/env.py").read_text())
    (loop,) = [node for node in environment.body if isinstance(node, ast.For)]
    assert with_tables == set(ast.literal_eval(loop.iter))


def test_the_trees_of_errors_name_every_class():
    for module, base in ((core, WeirError), (sdk, sdk.WeirError)):
        kinds = [
            name for name, kind in vars(module).items() if isinstance(kind, type) and issubclass(kind, base)
        ]
        assert len(kinds) > 15
        assert [name for name in kinds if name not in (module.__doc__ or "")] == [], module.__name__
