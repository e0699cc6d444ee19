"""NumPy work on the CPU, shared among threads.

NumPy releases the interpreter in its loops, so threads help where arrays are large enough.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from paddlex.utils.cpu import available_cores

__all__ = ["share_among_threads"]


def share_among_threads(work: Callable[[range], None], count: int) -> None:
    """Call `work` once in each thread, with its share of the indices below `count`.

    There are as many threads as OMP_NUM_THREADS says, or one per core. Exceptions reach the caller.
    """
    configured = os.environ.get("OMP_NUM_THREADS", "")
    wanted = int(configured) if configured.isdigit() else 0
    num_threads = max(1, min(wanted or available_cores(), count))
    shares = [range(first, count, num_threads) for first in range(num_threads)]
    if num_threads == 1:
        work(shares[0])
        return
    with ThreadPoolExecutor(num_threads) as pool:
        for future in [pool.submit(work, share) for share in shares]:
            future.result()
