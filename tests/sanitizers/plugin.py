"""For pytest in a process under a sanitizer: it is the watched kernels that are tested, on threads that it can follow.

A sanitizer knows how plain threads wait for one another; of OpenMP's, whose run-time is not watched, it would report
races that are none.
"""

import os
from pathlib import Path

from denseup import native

THREADS = 3

library = native.library()
assert library is not None, native.why_missing()
assert Path(native.__file__).is_relative_to(os.environ["DENSEUP_WATCHED"]), native.__file__
library.denseup_use_openmp(None)
native.threads = lambda: THREADS
