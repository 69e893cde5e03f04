"""DySample and FADE in a YOLO model yaml, trained a few steps on demo scenes, saved and exported.

    pip install -c .ci/integrations.txt 'denseup[train,onnx]' ultralytics    # versions that are known to work
    python examples/yolo_dysample.py [folder]

ultralytics is under the AGPL-3.0: whoever passes on a model that uses it has its terms to keep.
"""

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from ultralytics import YOLO
from ultralytics.utils import ROOT, YAML

import denseup.integrations.ultralytics  # noqa: F401  # from here on yamls may name denseup's upsamplers
from denseup.data import DEMO_CLASSES, DemoScenes

SIZE = 160
TRAINING = {"imgsz": SIZE, "batch": 4, "workers": 0, "plots": False, "amp": False, "device": "cpu", "exist_ok": True}


def write_model(path: Path, source: str = "cfg/models/26/yolo26.yaml") -> Path:
    """A model yaml of ultralytics with its two up-sampling rows replaced."""
    model = YAML.load(ROOT / source)
    model["nc"] = len(DEMO_CLASSES) - 1
    rows = model["head"]
    first, second = (i for i, row in enumerate(rows) if row[2] == "nn.Upsample")
    rows[first] = [-1, 1, "dysample", [2]]
    skip = rows[second + 1][0][1]  # the row behind joins what is raised and this layer, which is its guide
    rows[second] = [[-1, skip], 1, "fade", [2, {"kernel_size": 3}]]
    YAML.save(path, model)
    return path


def write_data(folder: Path, images: int, size: int = SIZE) -> Path:
    """Demo scenes with a box around each connected region of a class, in the layout of ultralytics."""
    scenes = DemoScenes("val", length=images, image_size=size)
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for sample in (scenes[i] for i in range(images)):
        pixels = (255 * sample["image"].permute(1, 2, 0).numpy()[..., ::-1]).round().astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{sample['name']}.png"), pixels)
        lines = [line for index in range(1, len(DEMO_CLASSES)) for line in _boxes(sample["label"].numpy(), index)]
        (folder / "labels" / f"{sample['name']}.txt").write_text("\n".join(lines))
    names = dict(enumerate(DEMO_CLASSES[1:]))
    YAML.save(folder / "data.yaml", {"path": str(folder), "train": "images", "val": "images", "names": names})
    return folder / "data.yaml"


def _boxes(label: np.ndarray, index: int) -> list[str]:
    height, width = label.shape
    regions = cv2.connectedComponentsWithStats((label == index).astype(np.uint8))[2][1:]
    return [
        f"{index - 1} {(x + w / 2) / width} {(y + h / 2) / height} {w / width} {h / height}"
        for x, y, w, h, area in regions
        if area > 0.002 * height * width
    ]


def main(folder: Path) -> None:
    """Build, train, predict, export."""
    data = write_data(folder / "data", images=16)
    model = YOLO(write_model(folder / "yolo26n-denseup.yaml"))
    model.train(data=data, epochs=4, project=folder, name="run", val=False, **TRAINING)
    trained = YOLO(folder / "run" / "weights" / "last.pt")
    image = folder / "data" / "images" / "scene_0000.png"
    (result,) = trained.predict(image, imgsz=2 * SIZE, conf=0.001, verbose=False)
    print(f"{len(result.boxes)} boxes in one image at twice the size of training")
    print("exported to", trained.export(format="onnx", imgsz=SIZE, simplify=False))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()).resolve())
