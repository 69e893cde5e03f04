"""A metric is the same number, to the last digit, however many threads its libraries have."""

import os

from processes import python

PROGRAM = """
import numpy as np
from denseup.metrics import conn, grad, grad_a2u, mse, sad
random = np.random.default_rng(0)
pred, target = (random.integers(0, 256, (700, 700), np.uint8) for _ in range(2))
for metric in (sad, mse, grad, conn):
    print(metric.__name__, repr(metric(pred, target, np.full_like(pred, 128))))
print(repr(grad_a2u(pred / 255, target, np.full_like(pred, 128))))
"""


def printed(threads: int) -> str:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | {name: str(threads) for name in names}
    return python("-c", PROGRAM, env=environment).stdout


def test_the_same_digits_with_any_number_of_threads() -> None:
    one = printed(1)
    assert len(one.split()) == 9
    assert printed(2) == one
