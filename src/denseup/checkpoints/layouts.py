"""Official key → ours, for each kind of module. A layout returns () for a key that has no place here, and a `Constant`
for what our module computes itself."""

import re
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from denseup.networks import MattingNetwork, MixTransformer, SegFormerHead, SegmentationNetwork
from denseup.networks.encoders import ResNet34
from denseup.networks.encoders.mit_keys import BACKBONE
from denseup.upsamplers import Upsampler
from denseup.weights import Rules, rename


class Constant(tuple[str, ...]):
    """No place, for what the authors save beside the weights and our module computes itself.

    Attributes:
        value: as our module has it; None where there is no module to ask, or no such value in it.
    """

    value: Tensor | None

    def __new__(cls, value: Tensor | None = None) -> "Constant":
        """An empty tuple."""
        made = super().__new__(cls)
        made.value = value
        return made


Targets = tuple[str, ...]
Layout = Callable[[str], Targets]

_BLOCK = r"(conv[12]|bn[12])\.(\w+)"
MATTING: Rules = (
    (r"layer0\.([01])\.", r"encoder.stem.\1."),
    (rf"layer1\.block(?P<n>\d)\.convs\.{_BLOCK}", r"encoder.layer1.{n-1}.\2.\3"),
    (r"bilinear(?P<n>[01])\.", r"upsamplers.{3-n}."),
    (r"layer(?P<n>[23])_1\.bilinear\.", r"upsamplers.{3-n}."),
    (r"layer([23])_1\.(?:layer[12]\.)?(conv[12]|bn[12]|proj_conv|proj_bn)\.", r"encoder.layer\1.0.\2."),
    (rf"layer([23])_2\.block(\d)\.convs\.{_BLOCK}", r"encoder.layer\1.\2.\3.\4"),
    (r"dconv_pp\.aspp(?P<n>\d)\.atrous_conv\.([01])\.", r"aspp.branches.{n-1}.\2."),
    (r"dconv_pp\.aspp(?P<n>\d)\.atrous_conv\.2\.", r"aspp.branches.{n-1}.3."),
    (r"dconv_pp\.aspp(?P<n>\d)\.atrous_conv\.3\.", r"aspp.branches.{n-1}.4."),
    (r"dconv_pp\.global_avg_pool\.([12])\.", r"aspp.pool.\1."),
    (r"dconv_pp\.bottleneck_conv\.([01])\.", r"aspp.project.\1."),
    (r"decoder_layer(?P<n>\d)\.dconv\.(?:dep_sep_conv\.)?", r"decoder.{4-n}.blocks.0."),
    (r"decoder_layer(?P<n>\d)\.dconv1\.(?:dep_sep_conv\.)?", r"decoder.{4-n}.blocks.1."),
    (r"decoder_layer(?P<n>\d)\.up\.", r"upsamplers.{4-n}."),
    (r"short(?P<n>\d)\.([01])\.", r"decoder.{3-n}.shortcut.\2."),
    (r"pred\.0\.([01])\.", r"head.\1."),
    (r"pred\.1\.", r"head.3."),
)

HEAD: Rules = (
    (r"linear_c(?P<n>\d)\.proj\.", r"project.{n-1}."),
    (r"linear_fuse\.conv\.", r"fuse.0."),
    (r"linear_fuse\.bn\.", r"fuse.1."),
    (r"linear_pred\.", r"classify."),
    (r"upsamplers\.(\d)\.", r"upsamplers.\1."),
)


def for_module(module: nn.Module) -> Layout:
    """The layout of the authors' state_dict for this module; ValueError if it has none."""
    if is_published_matting(module):
        assert isinstance(module, MattingNetwork)
        return _network(MATTING, module.upsamplers)
    if isinstance(module, SegFormerHead):
        return _network(HEAD, module.upsamplers)
    if isinstance(module, MixTransformer):
        return lambda key: rename(BACKBONE, key)
    if isinstance(module, SegmentationNetwork):
        backbone, head = for_module(module.backbone), for_module(module.head)
        return lambda key: _prefixed(key, {"backbone.": ("backbone.", backbone), "decode_head.": ("head.", head)})
    if isinstance(getattr(module, "official_keys", None), Mapping):
        return _operator(module)
    raise ValueError(f"there is no official layout for {type(module).__name__}")


def is_published_matting(module: nn.Module) -> bool:
    """Whether it is the matting network of the authors, whose norms are InPlaceABN."""
    return isinstance(module, MattingNetwork) and isinstance(module.encoder, ResNet34)


def _network(rules: Rules, upsamplers: nn.ModuleList) -> Layout:
    """Rules of a network; what they place under `upsamplers.<i>.` goes on through that operator's own layout."""

    def convert(key: str) -> Targets:
        targets = rename(rules, key)
        match = re.match(r"upsamplers\.(\d+)\.(.*)", targets[0]) if targets else None
        if match is None:
            return targets
        return _under(f"upsamplers.{match[1]}.", _operator(upsamplers[int(match[1])])(match[2]))

    return convert


def _operator(module: nn.Module) -> Layout:
    keys: Mapping[str, str | None] = module.official_keys  # type: ignore[assignment]
    return of_operator(keys, module.official_constants() if isinstance(module, Upsampler) else {})


def of_operator(prefixes: Mapping[str, str | None], constants: Mapping[str, Tensor] | None = None) -> Layout:
    """The layout of an operator's `official_keys`, the longest prefix first; keys that need no change pass."""

    def convert(key: str) -> Targets:
        for prefix in sorted(prefixes, key=len, reverse=True):
            if key == prefix or key.startswith(prefix + "."):
                ours = prefixes[prefix]
                return Constant((constants or {}).get(key)) if ours is None else (ours + key[len(prefix) :],)
        return (key,)

    return convert


def _under(prefix: str, targets: Targets) -> Targets:
    return targets if isinstance(targets, Constant) else tuple(prefix + target for target in targets)


def _prefixed(key: str, parts: Mapping[str, tuple[str, Layout]]) -> Targets:
    for prefix, (ours, layout) in parts.items():
        if key.startswith(prefix):
            return _under(ours, layout(key.removeprefix(prefix)))
    return ()
