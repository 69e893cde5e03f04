"""What an integration says where its library is not installed, and that none is imported unasked."""

import pytest
from processes import python


@pytest.mark.parametrize(
    ("integration", "library", "advice"),
    [
        ("mmcv", "mmcv", "pip install 'denseup[mmcv]'"),
        ("ultralytics", "ultralytics", "pip install ultralytics"),
    ],
)
def test_the_error_says_what_to_install(integration: str, library: str, advice: str) -> None:
    code = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {library!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import denseup.integrations
import denseup.integrations.{integration}
"""
    done = python("-c", code)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"ImportError: denseup.integrations.{integration} needs {library}: ")
    assert advice in done.stderr
