"""Writes the parts of docs/ that the code knows best: settings, limits, states, RPCs, commands.

    python -m tools.docs            write them; `make gen` does it
    python -m tools.docs --check    write nothing; fail where one is stale

Such a part stands between `<!-- from the code: NAME -->` and `<!-- end -->`; `blocks.py` has them by name.
"""
