import gc
import os
from collections.abc import Generator
from pathlib import Path

import pytest
import torch
from processes import PATIENCE

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")
for name, value in PATIENCE.items():
    os.environ.setdefault(name, value)

# Two workers share the cores of a small machine; several threads in each, or in the processes that it starts, would
# fight for them: threads that wait for one another while another process has their core take ten times as long.
IN_A_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if IN_A_WORKER:
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Ten thousand tests and all that they import stay to the end: the garbage collector need not go through them,
    neither while they grow nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of whole commands, in this folder itself, come first: no worker is to wait for a long one at the end."""
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """One thread, before any fixture: whatever is set already, as by numba, which sets torch's threads with its own."""
    if IN_A_WORKER and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _the_same_numbers_in_any_order() -> None:
    """Workers take tests as they come: what a test draws must not depend on those before it."""
    torch.manual_seed(0)
