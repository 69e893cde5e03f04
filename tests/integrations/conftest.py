"""Before ultralytics is imported: its settings in a folder of the test run, no downloads, no installations."""

import os
import tempfile

os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp(prefix="ultralytics")
os.environ["YOLO_AUTOINSTALL"] = "false"
os.environ["YOLO_OFFLINE"] = "true"
