"""A pretend CUDA device for machines without one: tensors that say they are there, computed on the CPU all the same.

Operations refuse what CUDA refuses: tensors of both devices in one of them, `.numpy()` of a tensor on the GPU, a CPU
generator for numbers drawn there, kernels of oneDNN. What it cannot show: rounding, memory, time, and what happens
between the first and the last line of a function that PyTorch itself wrote in Python or C++.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

_CPU, _CUDA = torch.device("cpu"), torch.device("cuda", 0)
# Between the devices: CUDA allows these.
_COPIES = {"to", "copy_", "__setitem__", "cpu", "cuda"}
# They look at arguments and compute nothing.
_PLAIN = {"_parse_to", "_has_compatible_shallow_copy_type"}
_READS = {"numpy", "__array__", "pin_memory"}


class PretendGpu(TorchFunctionMode):
    """Within it `device="cuda"` works. See `pretend_gpu` for what must be patched beside it."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name, attribute = _name_of(func)
        if func is torch.device or name in _PLAIN:
            return func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        on_gpu = any(map(_is_on_gpu, tensors))
        if attribute == "device":
            return _CUDA if on_gpu else _CPU
        if attribute == "is_cuda":
            return on_gpu
        if attribute == "data" and len(args) == 2:  # set
            _put(args[0], _is_on_gpu(args[1]))
            return func(*args)
        self._check(name, str(func), args, kwargs, tensors, on_gpu)
        if name == "pin_memory":
            return args[0].clone()
        target = self._target(name, args, kwargs)
        result = func(*(_real(value) for value in args), **{key: _real(value) for key, value in kwargs.items()})
        return _marked(result, on_gpu if target is None else target, tensors)

    def _check(self, name: str, full_name: str, args: Any, kwargs: Any, tensors: list[torch.Tensor], on_gpu: bool):
        if name in _READS and on_gpu:
            raise TypeError(f"can't do {name} with a tensor on the GPU; copy it to the CPU first")
        if "mkldnn" in full_name and on_gpu:
            raise RuntimeError(f"{full_name} is for the CPU alone")
        generator = kwargs.get("generator")
        if generator is not None and (on_gpu or self._target(name, args, kwargs)):
            raise RuntimeError(f"{name}: a generator of the CPU draws nothing on the GPU")
        if name in _COPIES:
            return
        if name == "__getitem__" and _is_on_gpu(args[0]):
            return  # indices may lie on the CPU
        if len({_is_on_gpu(tensor) for tensor in tensors if tensor.dim()}) > 1:
            raise RuntimeError(f"{name}: expected all tensors to be on the same device")

    @staticmethod
    def _target(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool | None:
        """Whether the result is asked for on the GPU; None where nothing is said of it."""
        if name in ("cpu", "cuda"):
            return name == "cuda"
        named = [kwargs.get("device"), *(args[1:] if name == "to" else ())]
        for value in named:
            if isinstance(value, torch.Tensor):
                return _is_on_gpu(value)
            if isinstance(value, str | torch.device):
                return torch.device(value).type == "cuda"
        return None


def _name_of(func: Any) -> tuple[str, str]:
    """Of a function, and of the attribute that it gets or sets."""
    owner = getattr(func, "__self__", None)
    return getattr(func, "__name__", str(func)), getattr(owner, "__name__", "") if "__" in str(func) else ""


def _is_on_gpu(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and "_is_on_gpu" in value.__dict__


def _put(tensor: torch.Tensor, on_gpu: bool) -> None:
    tensor.__dict__.pop("_is_on_gpu", None)
    if on_gpu:
        tensor.__dict__["_is_on_gpu"] = True


def _real(value: Any) -> Any:
    """The same argument with the CPU in place of the GPU."""
    if isinstance(value, torch.device) and value.type == "cuda":
        return _CPU
    return "cpu" if isinstance(value, str) and value.partition(":")[0] == "cuda" else value


def _marked(result: Any, on_gpu: bool, tensors: list[torch.Tensor]) -> Any:
    if isinstance(result, torch.Tensor):
        if any(result is tensor and _is_on_gpu(tensor) != on_gpu for tensor in tensors):
            result = result.clone()  # moved, though in truth it is there already
        _put(result, on_gpu)
    elif isinstance(result, tuple | list):
        marked = [_marked(part, on_gpu, tensors) for part in result]
        if isinstance(result, list) or type(result) is tuple:
            return type(result)(marked)
    return result


def patch_cuda(monkeypatch: Any) -> Iterator[None]:
    """PyTorch finds a GPU, and detectors put on it work, in the lines of a fixture that yields from this."""
    answers: dict[str, Any] = {
        "is_available": True,
        "current_device": 0,
        "device_count": 1,
        "get_device_name": "pretend",
        "is_bf16_supported": True,
        "get_rng_state": torch.empty(0),
        "set_rng_state": None,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    # Whether a CUDA graph is being recorded.
    monkeypatch.setattr(torch.optim.Optimizer, "_accelerator_graph_capture_health_check", lambda _: None)
    with PretendGpu():
        yield
