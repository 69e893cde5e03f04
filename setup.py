"""The C kernels, which pyproject.toml cannot describe. Optional: without a compiler the install still succeeds."""

import sys
from pathlib import Path

from setuptools import Extension, setup

NATIVE = Path("src/denseup/native")  # a folder an operator; headers are named from here

kernels = Extension(
    "denseup.native._kernels",
    sources=sorted(str(path) for path in NATIVE.glob("*/*.c")),
    depends=sorted(str(path) for path in NATIVE.glob("*/*.h")),
    include_dirs=[str(NATIVE)],
    extra_compile_args=["-O3", "-std=gnu11", "-fno-math-errno", "-ffp-contract=fast", "-fvisibility=default"],
    extra_link_args=["-pthread"],
    optional=True,
)

setup(ext_modules=[] if sys.platform == "win32" else [kernels])
