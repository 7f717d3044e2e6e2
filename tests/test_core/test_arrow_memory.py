"""A schema that is handed to Arrow stays whole for as long as Arrow looks at it."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import pyarrow as pa
from rivers_core import MetadataValue

fields = [("a", pa.int64()), ("b", pa.struct([("c", pa.string())])), ("d", pa.dictionary(pa.int8(), pa.string()))]
schema = pa.schema(fields)
for _ in range(50):
    kept = MetadataValue.from_json(MetadataValue.schema(schema).to_json())
    assert pa.schema(kept.raw_value()) == schema

wide = pa.schema([(f"c{i}", pa.int8()) for i in range(10_000)])
kept = MetadataValue.from_json(MetadataValue.schema(wide).to_json())
assert pa.schema(kept.raw_value()) == wide
"""


def test_no_memory_is_touched_after_it_was_freed() -> None:
    """The debug allocator of Python overwrites what is freed, so that Arrow stops where it would read it."""
    environment = os.environ | {"PYTHONMALLOC": "debug"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
