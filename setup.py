"""What pyproject.toml cannot describe: the C kernels, and conf/, which a wheel holds inside the package.

The kernels are optional: without a compiler the install still succeeds.
"""

import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

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


class WithConfigs(build_py):
    """conf/ stays at the top of the repository, where an editable install finds it."""

    def run(self):
        """Copy it into the package that is built."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "denseup", "conf")
            shutil.rmtree(target, ignore_errors=True)  # of an earlier build
            shutil.copytree("conf", target)


setup(cmdclass={"build_py": WithConfigs}, ext_modules=[] if sys.platform == "win32" else [kernels])
