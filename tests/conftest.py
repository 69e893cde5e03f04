import os

import torch
from processes import PATIENCE

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")
for name, value in PATIENCE.items():
    os.environ.setdefault(name, value)

# Two workers share the cores of a small machine; several threads in each would fight for them.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
