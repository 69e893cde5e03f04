"""The ResNets of torchvision and timm, told apart by the keys of their state dicts (He et al., CVPR 2016)."""

import re

from denseup.weights import Shapes

DEPTHS: dict[tuple[int, ...], tuple[str, ...]] = {
    (2, 2, 2, 2): ("resnet18",),
    (3, 4, 6, 3): ("resnet34", "resnet50"),
    (3, 4, 23, 3): ("resnet101",),
    (3, 8, 36, 3): ("resnet152",),
}
"""Blocks of the four layers → its names, that of bottlenecks last."""
OTHERS = {f"{name}{stem}" for names in DEPTHS.values() for name in names for stem in ("", "d")} - {"resnet34"}
"""Names of all but that which the matting network is made of."""
_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.conv1\.weight")


def resnet_in(shapes: Shapes) -> str | None:
    """The name of the ResNet with these keys, "a ResNet of [blocks]" if it has none; None if it is no ResNet."""
    if not {"conv1.weight", "conv1.0.weight"} & set(shapes):
        return None
    blocks = [(int(found[1]), int(found[2])) for key in shapes if (found := _BLOCK.fullmatch(key))]
    depths = tuple(max((block + 1 for layer, block in blocks if layer == one), default=0) for one in range(1, 5))
    if not any(depths):
        return None
    names = DEPTHS.get(depths, (f"a ResNet of {list(depths)} blocks",))
    name = names[-1 if "layer1.0.conv3.weight" in shapes else 0]
    return name if "conv1.weight" in shapes else f"{name}d"  # a stem of three convolutions, timm's name
