"""The tests of this folder run on memory that shows who reads it unwritten."""

import torch


def test_what_nobody_has_written_is_not_a_number() -> None:
    x = torch.ones(2, 4, 3, 3)
    for fresh in (torch.empty(1000), torch.empty_like(x), x.new_empty(5), x.bfloat16().new_empty(7)):
        assert fresh.isnan().all()
    assert torch.empty(3, memory_format=torch.contiguous_format).isnan().all()
