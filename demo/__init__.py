"""The demo: a real source with real faults, a killed worker, and every record accounted for.

`make demo`, or `python -m demo`.
"""
