"""Parameters added to the two networks: those of complexity.json, which reproduce the published tables."""

from typing import Any

import pytest
from golden import manifest

from denseup.upsamplers import create_upsampler

STAGES = {"matting": (256, 128, 64, 64), "seg": (256,) * 6}
OPERATORS: dict[str, dict[str, Any]] = {
    "carafe": {"name": "carafe"},
    "fade": {"name": "fade"},
    "fade_lite": {"name": "fade_lite"},
    "semishift": {"name": "semishift"},
    "a2u_full": {"name": "a2u"},
    "a2u_up_only": {"name": "a2u", "own_downsampling": False},
    "indexnet_hin_nl_cx": {"name": "indexnet"},
    "indexnet_m2o_nl_cx": {"name": "indexnet_m2o"},
    "indexnet_m2o_lin": {"name": "indexnet_m2o", "nonlinear": False, "context": False},
    "indexnet_m2o_lin_cx": {"name": "indexnet_m2o", "nonlinear": False},
    "indexnet_o2o_nl_cx": {"name": "indexnet_o2o"},
    "sapa_emb64": {"name": "sapa"},
    "sapa_emb32": {"name": "sapa", "embed_channels": 32},
    "dysample_lp": {"name": "dysample"},
    "dysample_lp_dyscope": {"name": "dysample_scope"},
    "dysample_pl": {"name": "dysample_pl"},
    "dysample_pl_dyscope": {"name": "dysample_pl_scope"},
}
ROWS = manifest("complexity")["results"]


@pytest.mark.parametrize("row", ROWS)
def test_parameter_count(row: str) -> None:
    task, operator = row.split("/")
    modules = [create_upsampler(de_channels=channels, **OPERATORS[operator]) for channels in STAGES[task]]
    assert sum(p.numel() for module in modules for p in module.parameters()) == ROWS[row]["params"]
