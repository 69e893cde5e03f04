"""The description of a metric's values: what tables are headed by, and that it fits what is measured."""

from dataclasses import asdict

import pytest

from denseup.metrics import DenseMetrics, MattingMetrics, MetricInfo, SegmentationMetrics


@pytest.mark.parametrize("metric", [MattingMetrics(), SegmentationMetrics(3)], ids=lambda metric: type(metric).__name__)
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_all_that_is_measured_is_described(metric: DenseMetrics) -> None:
    assert {info.key for info in metric.values} == set(metric.compute())
    if isinstance(metric, SegmentationMetrics):
        assert [info.key for info in metric.class_values] == list(metric.per_class())


def test_headings() -> None:
    sad, *_ = MattingMetrics.values
    miou, *_ = SegmentationMetrics.values
    assert (sad.heading, sad.computed_heading, sad.mode) == ("SAD ↓", "SAD [10³] ↓", "min")
    assert (miou.heading, miou.computed_heading, miou.mode) == ("mIoU % ↑", "mIoU ↑", "max")
    assert (sad.gain(-2), miou.gain(-2)) == (2, -2)
    assert MetricInfo.of_key("x").heading == "x"
    assert MetricInfo.of_key("x", "max").heading == "x ↑"


def test_a_description_is_read_as_it_was_written() -> None:
    info = SegmentationMetrics.values[0]
    assert MetricInfo.read({**asdict(info), "of_a_later_version": 1}) == info
