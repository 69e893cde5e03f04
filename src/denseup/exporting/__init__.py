"""A trained task in files that other programs run: ONNX, torch.export, TorchScript; and safetensors with a model card.

Each format of a graph is one module in `formats/`, all made of one program (`program.py`), which holds torch's own
operators alone and serves any batch, height and width. A file counts once it gives what the network gives
(`checking.py`).
"""
