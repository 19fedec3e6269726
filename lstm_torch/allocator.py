"""What is freed stays with the process, for the next step to take again.

A step on the CPU makes and frees temporaries of tens of megabytes. glibc's malloc gets each of that size from the
system and gives it back, and the system hands it out anew page by page, each page cleared: 165 of the 477 ms of the
2x512 character step in bf16, a tenth of a step of AWD-LSTM. Kept, it costs what the process needs at its peak, for as
long as the process runs.
"""

import ctypes
import functools
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
LARGEST_INT = 2**31 - 1


@functools.cache
def keep_freed_memory() -> bool:
    """For the whole process. False where malloc is not glibc's: then nothing has changed."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, LARGEST_INT))
