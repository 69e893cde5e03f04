"""All benchmarks, one after the other: python -m benchmarks [--quick] [the options that all of them share]."""

import sys
from collections.abc import Sequence

from benchmarks import attention, data, metrics, operators, startup, training, upsamplers

BENCHMARKS = {
    "operators": operators.main,
    "attention": attention.main,
    "upsamplers": upsamplers.main,
    "training": training.main,
    "metrics": metrics.main,
    "data": data.main,
    "startup": startup.main,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all with the same arguments; gives the greatest of their exit codes."""
    codes = []
    for name, run in BENCHMARKS.items():
        print(f"== {name}", flush=True)
        codes.append(run(arguments))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
