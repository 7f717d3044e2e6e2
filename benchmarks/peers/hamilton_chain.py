"""The chain in Hamilton: for every line on stdin, run it once and print the seconds."""

from __future__ import annotations

import gc
import sys
import time

from chain_functions import chain_functions
from hamilton import ad_hoc_utils, driver

sys.setrecursionlimit(100_000)  # Hamilton 1.90 resolves a chain recursively
count = int(sys.argv[1])
functions = chain_functions(count)
module = ad_hoc_utils.create_temporary_module(*functions.values(), module_name="chain")
chain = driver.Builder().with_modules(module).build()
last = f"a{count - 1}"
for _ in sys.stdin:
    gc.collect()
    start = time.process_time()
    result = chain.execute([last])
    seconds = time.process_time() - start
    assert result[last] == count - 1
    print(seconds, flush=True)
