"""Which allocator Arrow uses in a process whose records pass through many threads."""

import pyarrow as pa


def settle_allocator() -> None:
    """Take jemalloc where Arrow has it: what one thread has freed does not stay with that thread."""
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
