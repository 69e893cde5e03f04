"""What an upsampler costs in a network: parameters, GFLOPs, time and memory, beside the published table."""

from denseup.profiling.counting import Subject, count_costs
from denseup.profiling.flops import count_macs, total_macs
from denseup.profiling.latency import LatencySettings, measure_inference, measure_latency
from denseup.profiling.measuring import Timing, peak_memory, time_side_by_side

__all__ = [
    "LatencySettings",
    "Subject",
    "Timing",
    "count_costs",
    "count_macs",
    "measure_inference",
    "measure_latency",
    "peak_memory",
    "time_side_by_side",
    "total_macs",
]
