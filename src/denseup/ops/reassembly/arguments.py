"""What the operators of reassembly ask of their arguments."""

from torch import Tensor

from denseup.ops.arguments import check_alike, check_device, check_groups, check_map, check_shape, odd_number


def check_window(kernel_size: int, groups: int, features: Tensor, name: str) -> None:
    """A K×K window, and groups that divide the channels of `name`."""
    check_map(name, features)
    odd_number("kernel_size", kernel_size)
    check_groups(groups, features.shape[1], name)


def check_kernels(de: Tensor, kernels: Tensor, kernel_size: int, groups: int, name: str, de_name: str = "de") -> None:
    """Kernels `[B, G·K², H, W]` of a map `[B, C, h, w]` no larger than they are."""
    check_window(kernel_size, groups, de, de_name)
    check_map(name, kernels, "[B, G·K², H, W]")
    if kernels.shape[0] != de.shape[0] or kernels.shape[1] != groups * kernel_size**2:
        expected = f"[{de.shape[0]}, {groups * kernel_size**2}, H, W] (batch, groups·kernel_size², height, width)"
        raise ValueError(f"{name} has shape {list(kernels.shape)}, expected {expected}")
    check_device(name, kernels, de_name, de)
    check_sizes(de, kernels, de_name, name)


def check_query(query: Tensor, key: Tensor, kernel_size: int, groups: int) -> None:
    """A query `[B, C, H, W]` and a key `[B, C, h, w]` no larger than it."""
    check_window(kernel_size, groups, key, "key")
    check_map("query", query, "[B, C, H, W]")
    if query.shape[:2] != key.shape[:2]:
        raise ValueError(f"query has shape {list(query.shape)}, expected {[*key.shape[:2]]} + [H, W] as in key")
    check_device("query", query, "key", key)
    check_sizes(key, query, "key", "query")


def check_gate(de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None) -> None:
    """An encoder feature `[B, C, H, W]` and a gate `[B, 1, h, w]` that fit `de` and `logits`, or neither."""
    if en is None and gate is None:
        return
    if en is None or gate is None:
        missing, given = ("en", "gate") if en is None else ("gate", "en")
        raise ValueError(f"{missing} is None, but {given} is given: expected both or neither")
    check_shape("en", en, [*de.shape[:2], *logits.shape[2:]], "as de and logits have")
    check_shape("gate", gate, [de.shape[0], 1, *de.shape[2:]], "as de has")
    for name, x in (("en", en), ("gate", gate)):
        check_map(name, x)
        check_device(name, x, "de", de)


def check_reassemble(de: Tensor, kernels: Tensor, kernel_size: int, groups: int, backend: str) -> None:
    """Arguments of the operator `reassemble`."""
    check_kernels(de, kernels, kernel_size, groups, "kernels")


def check_adjoint(
    grad: Tensor, kernels: Tensor, kernel_size: int, groups: int, height: int, width: int, backend: str
) -> None:
    """A gradient `[B, C, H, W]`, its kernels `[B, G·K², H, W]`, and a size no larger."""
    check_window(kernel_size, groups, grad, "grad")
    check_shape("kernels", kernels, [grad.shape[0], groups * kernel_size**2, *grad.shape[2:]], "as grad has")
    check_map("kernels", kernels)
    check_device("kernels", kernels, "grad", grad)
    for name, length, most in zip(("height", "width"), (height, width), grad.shape[2:], strict=True):
        if not 1 <= length <= most:
            raise ValueError(f"{name} is {length}, expected 1 to {most}, that of grad")


def check_similarity(query: Tensor, key: Tensor, kernel_size: int, groups: int, backend: str) -> None:
    """Arguments of the operator `local_similarity`."""
    check_query(query, key, kernel_size, groups)
    check_alike("key", key, "query", query)


def check_softmax_reassemble(
    de: Tensor, logits: Tensor, en: Tensor | None, gate: Tensor | None, kernel_size: int, groups: int, backend: str
) -> None:
    """Arguments of softmax, reassembly and gate in one."""
    check_kernels(de, logits, kernel_size, groups, "logits")
    check_gate(de, logits, en, gate)
    if en is not None:
        check_alike("en", en, "de", de)


def check_softmax_reassemble_backward(
    grad: Tensor,
    de: Tensor,
    logits: Tensor,
    en: Tensor | None,
    gate: Tensor | None,
    kernel_size: int,
    groups: int,
    backend: str,
) -> None:
    """The same, and the gradient of the result `[B, C, H, W]`."""
    check_softmax_reassemble(de, logits, en, gate, kernel_size, groups, backend)
    check_shape("grad", grad, [*de.shape[:2], *logits.shape[2:]], "as de and logits have")
    check_alike("grad", grad, "de", de)


def check_sizes(low: Tensor, high: Tensor, low_name: str, high_name: str) -> None:
    """`high` is no smaller than `low`."""
    if high.shape[2] < low.shape[2] or high.shape[3] < low.shape[3]:
        sizes = f"{high_name} is {tuple(high.shape[2:])}, {low_name} is {tuple(low.shape[2:])}"
        raise ValueError(f"{sizes}: {high_name} must be at least as large as {low_name}; were the two swapped?")
