"""OpenMMLab: imported, it makes denseup's upsamplers known to mmcv and mmengine.

- `mmcv.cnn.build_upsample_layer(dict(type="fade", de_channels=64, en_channels=32))` builds every upsampler of the
  registry. mmcv's own names (`nearest`, `bilinear`, `deconv`, `pixel_shuffle`; `carafe` of a compiled mmcv) stay
  mmcv's; `type="denseup.NAME"` is ours for all of them, also for one that is registered later.
- `type="denseup.FPN"`, or "DenseupFPN", is a feature pyramid whose `upsample_cfg` may be guided (`FPN`).
- `mmcv.ops.carafe` and its relatives work on every device and dtype: with mmcv-lite they exist, with a compiled mmcv
  they serve what its kernels do not (`carafe`).

Importing it twice, or reloading it, changes nothing.
"""

try:
    import mmcv.cnn  # noqa: F401
    import mmengine  # noqa: F401
except ModuleNotFoundError as error:
    if error.name not in ("mmcv", "mmengine"):
        raise
    raise ImportError(
        f"denseup.integrations.mmcv needs {error.name}: pip install 'denseup[mmcv]' (mmcv-lite), or a compiled mmcv"
    ) from error

from denseup.integrations.mmcv.fpn import FPN
from denseup.integrations.mmcv.layers import register_upsamplers
from denseup.integrations.mmcv.names import serve_mmcv_ops
from denseup.integrations.mmcv.reassembly import CARAFE, CARAFENaive, CARAFEPack, carafe, carafe_naive

__all__ = ["CARAFE", "FPN", "CARAFENaive", "CARAFEPack", "carafe", "carafe_naive", "register_upsamplers"]

serve_mmcv_ops()  # first: of a compiled mmcv it registers mmcv's own "carafe"
register_upsamplers()
