"""Which weights of a model belong to a layer t = W·x + b, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.weight_norm import WeightNorm

from normcli.errors import UsageError
from normcli.formats.spelling import quoted
from normcli.initialization.header import header_of
from normcli.records import MEASURABLE, NormState
from normcli.reparam import weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.records import Axis, Shape, Weight


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A module with a weight and a bias.

    Attributes:
        key: Of its weight, in the model's state dict.
        module: That computes with it.
        state: How the module stores its weight: plain, or under weight norm.
        parts: Role → parameter: `weight`, or `g` and `v`.
        bias: Shape (units,).
        axis: Of weight norm, None for one norm over the whole tensor; 0 of a plain weight.
    """

    key: str
    module: nn.Module
    state: Weight
    parts: Mapping[str, Tensor]
    bias: Tensor
    axis: Axis

    @property
    def kind(self) -> str:
        """Class of the module, without the prefix that torch gives a parametrized one."""
        name = type(self.module).__name__
        parametrized = hasattr(self.module, "parametrizations")
        return name.removeprefix("Parametrized") if parametrized else name

    @property
    def bias_key(self) -> str:
        """Of its bias, in the model's state dict."""
        return f"{self.key.removesuffix('weight')}bias"

    @property
    def weight_shape(self) -> Shape:
        """Of the weight."""
        return self.state.shape


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """Every floating weight of two axes or more of a model.

    Attributes:
        weights: All of them, in the order of the state dict.
        layers: Key of the weight → its layer.
        unfit: Key of the weight → why it has none that could be initialized.
    """

    weights: tuple[Weight, ...]
    layers: Mapping[str, Layer]
    unfit: Mapping[str, str]


def layers_of(model: nn.Module) -> Layers:
    """The layers of a model; each weight is in `layers` or in `unfit`.

    Raises:
        UsageError: A lazy module has not run yet: its weight has no shape.
    """
    for name, each in model.named_parameters():
        if isinstance(each, UninitializedParameter):
            message = f"{quoted(name)} has no shape yet, expected a model that has run before"
            raise UsageError(message, where="model", hint="run it once on a batch: it is lazy")
    listed = weights(*header_of(model))
    wide = tuple(each for each in listed if len(each.shape) > 1 and each.dtype in MEASURABLE)
    owners = _owners(model)
    found = {state.key: _layer(model, state, owners) for state in wide}
    return Layers(
        wide,
        {key: layer for key, layer in found.items() if isinstance(layer, Layer)},
        {key: reason for key, reason in found.items() if isinstance(reason, str)},
    )


def parts_in(model: nn.Module, state: Weight) -> dict[str, Tensor]:
    """Role → parameter or buffer of a weight as the model stores it."""
    if not isinstance(state, NormState):
        return {"weight": _tensor(model, state.key)}
    return {role: _tensor(model, part.key) for role, part in state.parts.items()}


def _tensor(model: nn.Module, key: str) -> Tensor:
    path, _, name = key.rpartition(".")
    tensor = getattr(model.get_submodule(path), name)
    assert isinstance(tensor, Tensor)  # noqa: S101  its state dict has it
    return tensor


def _owners(model: nn.Module) -> Mapping[object, list[str]]:
    """Where a tensor is → every key that it has in the state dict."""
    owners: dict[object, list[str]] = {}
    for key, tensor in model.state_dict(keep_vars=True).items():
        if isinstance(tensor, Tensor):
            owners.setdefault(_place(tensor), []).append(key)
    return owners


def _place(tensor: Tensor) -> object:
    """Its memory, which two parameters may share; the tensor itself where it has none."""
    address = tensor.data_ptr()
    return (tensor.device, address) if address else id(tensor)


def _layer(model: nn.Module, state: Weight, owners: Mapping[object, list[str]]) -> Layer | str:
    """The layer of a weight, or why there is none."""
    path, _, name = state.key.rpartition(".")
    module = _module(model, path)
    if isinstance(model, ScriptModule) or isinstance(module, ScriptModule):
        return "compiled by torch.jit: its layers cannot be seen"
    if name != "weight" or module is None:
        what = type(module).__name__ if module is not None else "the model"
        return f"not the weight of a layer W·x + b, but {quoted(name)} of {what}"
    reason = _unfit(state)
    if reason:
        return reason
    parts = parts_in(model, state)
    bias = getattr(module, "bias", None)
    reason = _unfit_bias(module, bias)
    if reason or not isinstance(bias, Tensor):
        return reason
    reason = _shared(state, [*parts.values(), bias], owners)
    if reason:
        return reason
    return Layer(state.key, module, state, parts, bias, _axis(module, state))


def _module(model: nn.Module, path: str) -> nn.Module | None:
    try:
        return model.get_submodule(path)
    except (AttributeError, RuntimeError):  # a hook of the user spells it anew; or it is compiled
        return None


def _unfit(state: Weight) -> str:
    if not state.dtype.startswith(("float", "bfloat")):
        return f"{state.dtype}: standard deviations are of real outputs"
    if not isinstance(state, NormState):
        return ""
    if state.problem or state.family != "weight" or state.stack:
        norms = "+".join(norm.family for norm in state.stack or (state,))
        return f"under {norms}, not under weight norm alone: its scale is not free"
    return ""


def _unfit_bias(module: nn.Module, bias: object) -> str:
    if bias is None:
        under = any(name.startswith("bias_") for name in module._parameters)  # noqa: SLF001
        return "the bias of its layer is under a norm" if under else "its layer has no bias"
    if "bias" not in module._parameters or not isinstance(bias, Tensor):  # noqa: SLF001
        return "the bias of its layer is under a norm"
    fits = bias.ndim == 1 and bias.is_floating_point()
    return "" if fits else "the bias of its layer is no vector"


def _shared(state: Weight, tensors: list[Tensor], owners: Mapping[object, list[str]]) -> str:
    """That a tensor has a name elsewhere: two layers compute with it, or one has two names."""
    own = {f"{state.key.removesuffix('weight')}bias", state.key}
    if isinstance(state, NormState):
        own |= {part.key for part in state.parts.values()}
    for tensor in tensors:
        for other in owners.get(_place(tensor), ()):
            if other not in own:
                return f"shared: it is {quoted(other)} as well"
    return ""


def _axis(module: nn.Module, state: Weight) -> Axis:
    """Of weight norm: what the module says, else what the shapes allow."""
    if not isinstance(state, NormState):
        return 0
    hooks = list(module._forward_pre_hooks.values())  # noqa: SLF001
    chain = getattr(getattr(module, "parametrizations", None), "weight", ())
    said = [hook.dim for hook in hooks if isinstance(hook, WeightNorm) and hook.name == "weight"]
    said += [norm.dim for norm in chain if isinstance(norm, _WeightNorm)]
    dim = said[0] if said else state.axes[0]
    if dim is None or dim == -1:  # torch: one norm over the whole tensor
        return None
    return int(dim) % len(state.shape)
