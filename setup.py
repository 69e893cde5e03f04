"""What pyproject.toml cannot describe: the C kernels, and conf/, which a wheel holds inside the package.

The kernels are optional: without a compiler the install still succeeds.
"""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

NATIVE = Path("src/denseup/native")  # a folder an operator; headers are named from here

kernels = Extension(
    "denseup.native._kernels",
    sources=sorted(str(path) for path in NATIVE.glob("*/*.c")),
    depends=["setup.py", *sorted(str(path) for path in NATIVE.glob("*/*.h"))],
    include_dirs=[str(NATIVE)],
    extra_compile_args=["-O3", "-std=gnu11", "-fno-math-errno", "-ffp-contract=fast", "-fvisibility=default"],
    extra_link_args=["-pthread"],
    optional=True,
)


class Kernels(build_ext):
    """Sources are compiled side by side, and only if no library newer than they are lies in the tree."""

    def build_extension(self, ext):
        """Build, or take over, one extension."""
        earlier, target = Path("src", self.get_ext_filename(ext.name)), Path(self.get_ext_fullpath(ext.name))
        if earlier.exists() and not target.exists():  # an editable install builds into an empty folder each time
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(earlier, target)  # of its age, so that setuptools sees whether it is up to date
        compile_these = self.compiler.compile

        def compile_side_by_side(sources, **options):
            longest_first = sorted(sources, key=lambda source: -_folder_size(source))
            with ThreadPoolExecutor() as threads:
                objects = threads.map(lambda source: compile_these([source], **options), longest_first)
                return sorted(name for names in objects for name in names)

        self.compiler.compile = compile_side_by_side
        try:
            super().build_extension(ext)
        finally:
            self.compiler.compile = compile_these


def _folder_size(source):
    return sum(path.stat().st_size for path in Path(source).parent.iterdir())


class WithConfigs(build_py):
    """conf/ stays at the top of the repository, where an editable install finds it."""

    def run(self):
        """Copy it into the package that is built."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "denseup", "conf")
            shutil.rmtree(target, ignore_errors=True)  # of an earlier build
            shutil.copytree("conf", target)


setup(
    cmdclass={"build_ext": Kernels, "build_py": WithConfigs},
    ext_modules=[] if sys.platform == "win32" else [kernels],
)
