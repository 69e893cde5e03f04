import os

import torch

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")

# Two workers share the cores of a small machine; several threads in each would fight for them.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
