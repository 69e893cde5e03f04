"""Counts of every operator in both networks, exactly those of complexity.json, which reproduce the published table."""

from typing import Any

import pytest
import torch
from golden import manifest
from torch import nn

from denseup.networks import MattingResNet34, SegFormer
from denseup.profiling import Subject, count_costs
from denseup.profiling.counting import added_macs, stage_calls
from denseup.profiling.published_costs import INPUT_SIZE, as_printed, base_cost, compare, published_costs
from denseup.upsamplers import UpsamplerFactory, upsampler_factory

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
TASKS = {"matting": "matting", "seg": "segmentation"}
ROWS = manifest("complexity")["results"]
WITHOUT_GATE = {"matting/fade_lite"}
"""The one published cell that leaves the products of the gate out, where the same operator has them elsewhere."""


def build_matting(factory: UpsamplerFactory) -> nn.Module:
    return MattingResNet34(factory)


def build_segmentation(factory: UpsamplerFactory) -> nn.Module:
    return SegFormer(upsampler=factory)


SUBJECTS = {
    "matting": Subject("matting", build_matting, 4),
    "segmentation": Subject("segmentation", build_segmentation, 3),
}


@pytest.mark.parametrize("row", ROWS)
def test_exact_counts(row: str) -> None:
    task, _, operator = row.partition("/")
    subject, options = SUBJECTS[TASKS[task]], OPERATORS[operator]
    with torch.device("meta"):
        base, network = (
            subject.build(upsampler_factory(**choice)).eval() for choice in ({"name": "bilinear"}, options)
        )
        calls = stage_calls(network, torch.empty(1, subject.in_channels, INPUT_SIZE, INPUT_SIZE))
    total = "total_G" if row in WITHOUT_GATE else "total_with_gating_G"
    assert parameters(network) - parameters(base) == ROWS[row]["params"]
    assert added_macs(subject.task, options["name"], calls) == round(ROWS[row][total] * 1e9)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("task", ["matting", "seg"])
def test_every_published_cell_is_marked(task: str) -> None:
    subject = SUBJECTS[TASKS[task]]
    published = published_costs(subject.task)
    assert published is not None
    names = ["bilinear", *(name for name in published.rows if name != "bilinear"), "sapa"]
    rows = {
        row["upsampler"]: row for row in count_costs(subject, {name: upsampler_factory(name) for name in names}, 64)
    }
    cells = {name: (row["published_params"], row["published_gflops"]) for name, row in rows.items()}
    table = {("indexnet_m2o" if (task, name) == ("matting", "indexnet") else name): tuple(values)
             for name, values in manifest("complexity")["published"][task].items()}  # fmt: skip
    base = {"matting": ("8.05M", "8.61"), "seg": ("13.7M", "15.91")}[task]
    assert cells == {"bilinear": base, **table, "sapa": (None, None)}
    for name, row in rows.items():
        expected = {"sapa": "not published", "indexnet_m2o": "differs"}.get(name, "reproduced")
        assert (row["params_status"], row["gflops_status"]) == (expected, expected), name


def test_base_networks() -> None:
    """The figures of complexity.md, which come from conventions of their own."""
    with torch.device("meta"):
        matting = base_cost("matting", MattingResNet34().eval())
        segmentation = base_cost("segmentation", SegFormer().eval())
        assert base_cost("matting", MattingResNet34(width=16).eval()) is None
        assert base_cost("depth", SegFormer().eval()) is None
    assert matting is not None
    assert segmentation is not None
    assert (matting[0], round(matting[1], 4)) == (8_049_003, 8.6075)
    assert (segmentation[0], round(segmentation[1], 4)) == (13_735_148, 15.9116)


def test_a_network_of_another_size_is_not_compared() -> None:
    small = Subject("matting", lambda factory: MattingResNet34(factory, width=16), 4)
    rows = count_costs(small, {name: upsampler_factory(name) for name in ("bilinear", "fade")}, 64)
    assert {row["params_status"] for row in rows} == {"not published"}
    assert rows[1]["counted_gflops"] > 0
    with pytest.raises(ValueError, match="expected 'bilinear'"):
        count_costs(small, {"fade": upsampler_factory("fade")}, 64)


def test_the_plain_count_covers_the_paired_down_sampling() -> None:
    """IndexNet in matting: the published way counts the index network and one product, the plain way no products."""
    rows = count_costs(SUBJECTS["matting"], {n: upsampler_factory(n) for n in ("bilinear", "indexnet", "a2u")}, 512)
    _, indexnet, a2u = rows
    assert round(indexnet["gflops_added"] * 1e9) == ROWS["matting/indexnet_hin_nl_cx"]["conv_macs"]
    assert a2u["gflops_added"] > a2u["counted_gflops"]


@pytest.mark.parametrize(
    ("value", "printed", "status"),
    [
        (124_008, "0.12M", "reproduced"),
        (27_216, "27K", "reproduced"),
        (8.853454, "8.85", "reproduced"),
        (8.856, "8.85", "differs"),
        (6_131_712, "12.26M", "differs"),
        (1.0, None, "not published"),
    ],
)
def test_compare(value: float, printed: str | None, status: str) -> None:
    assert compare(value, printed) == status


def test_a_pattern_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a number as in"):
        as_printed(1.0, "about 3")
