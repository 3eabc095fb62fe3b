# pyright: basic, reportMissingImports=false
"""dlt reads pages of a web API into Parquet, as its documents say; run by an environment of its own.

python -m tests.bench.dlt_app URL PAGES DIR     says seconds, seconds of processor time and its version
"""

import os
import sys
import time

import dlt
from dlt.sources.rest_api import rest_api_source


def main(url: str, pages: int, folder: str) -> None:
    """Extract, normalize and load."""
    began = time.perf_counter()
    source = rest_api_source(
        {
            "client": {"base_url": url},
            "resources": [
                {
                    "name": "rows",
                    "endpoint": {
                        "path": "rows",
                        "data_selector": "results",
                        "paginator": {
                            "type": "page_number",
                            "base_page": 1,
                            "total_path": None,
                            "maximum_page": pages,
                        },
                    },
                }
            ],
        }
    )
    target = dlt.destinations.filesystem(bucket_url=f"file://{folder}/out")
    pipeline = dlt.pipeline("bench", pipelines_dir=f"{folder}/state", destination=target, dataset_name="rows")
    pipeline.run(source, loader_file_format="parquet")
    seconds, cpu = time.perf_counter() - began, sum(os.times()[:4])
    print(seconds, cpu, dlt.__version__)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
