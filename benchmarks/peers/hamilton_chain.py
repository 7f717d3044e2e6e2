"""The chain in Hamilton: runs once for every line on stdin, and answers with the seconds it took."""

from __future__ import annotations

import gc
import sys
import time

from chain_functions import chain_functions
from hamilton import ad_hoc_utils, driver

sys.setrecursionlimit(100_000)
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
