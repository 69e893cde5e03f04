"""Before ultralytics is imported: its settings in a folder of the test run, no downloads, no installations."""

import contextlib
import os
import tempfile

from PIL import Image

os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp(prefix="ultralytics")
os.environ["YOLO_AUTOINSTALL"] = "false"
os.environ["YOLO_OFFLINE"] = "true"

# It replaces this function for the whole process, by one that wants a further package for what it cannot read: tests of
# denseup's own reading, in the same process, are to meet Pillow's.
_open = Image.open
with contextlib.suppress(ImportError):
    import ultralytics.utils  # noqa: F401
Image.open = _open
