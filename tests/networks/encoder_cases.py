"""Small encoders of every kind, with random weights."""

from typing import Any

from torch import Tensor

from denseup.networks import Encoder, create_encoder, list_encoders

FAMILIES: dict[str, dict[str, Any]] = {
    "convnext": {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 12, 16, 20]},
    "swin": {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 2},
    "pvt_v2": {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 2, 2]},
    "resnet": {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 8, 16, 16], "embedding_size": 8, "layer_type": "basic"},
    "dinov2": {"hidden_size": 16, "num_hidden_layers": 6, "num_attention_heads": 2, "image_size": 56},
}
"""Backbones of transformers: model type → fields that make it small."""

MIT = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 2, 2]}
SMALL: dict[str, dict[str, Any]] = {"resnet34": {"width": 4, "depths": (1, 1, 1)}}
"""Options of registered encoders; those that have none here are built as they are."""

ELSEWHERE = ("auto", "timm")
"""They need to be told a model."""

CASES: dict[str, dict[str, Any]] = {
    **{
        name: {"name": name, **(MIT if name.startswith("mit_") else SMALL.get(name, {}))}
        for name in list_encoders()
        if name not in ELSEWHERE
    },
    **{family: {"name": "auto", "config": {"model_type": family, **fields}} for family, fields in FAMILIES.items()},
}


def encoder(case: str, **options: Any) -> Encoder:
    return create_encoder(**CASES[case], **options)


class Pyramid(Encoder):
    """Maps of given strides."""

    def __init__(self, strides: list[int], in_channels: int = 4) -> None:
        super().__init__()
        self.in_channels, self.strides, self.channels = in_channels, strides, [3] * len(strides)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x[:, :3, ::s, ::s] for s in self.strides]
