"""From `package.module:attribute` to the model that the user's own code builds."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normcli.errors import UsageError
from normcli.formats.spelling import quoted, several
from normcli.initialization.guest import guest, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType

    from torch import nn

_WHERE = "--model"
_ARGUMENTS = "--model-args"
_FORM = "PACKAGE.MODULE:ATTRIBUTE"
_MISSING = object()


def built(spec: str, arguments: Sequence[Any] | Mapping[str, Any] = ()) -> nn.Module:
    """The model that `package.module:attribute` gives, in the spelling of uvicorn.

    The attribute is a function, a class, or a model itself. The working directory is the first
    place that modules are looked for in, and stays so: a model may import more while it runs.

    Args:
        spec: The attribute may be dotted, `digits:Generator.small`.
        arguments: A mapping holds keywords, a sequence positional arguments.

    Raises:
        UsageError: There is no such module or attribute, its code fails, or it gives no model
            whose tensors hold values.
    """
    from torch import nn

    module, path = _parsed(spec)
    _look_here_first()
    found = _attribute(_imported(module), module, path)
    if isinstance(found, nn.Module):
        if arguments:
            message = f"{quoted(spec)} is a model already, which takes no arguments"
            raise UsageError(message, where=_ARGUMENTS)
        model = found
    else:
        model = _called(found, spec, arguments)
    check_values(model, where=_WHERE)
    return model


def _parsed(spec: str) -> tuple[str, str]:
    """Module and attribute."""
    module, colon, path = spec.partition(":")
    is_path = "/" in module or module.endswith(".py")
    if colon and not is_path and _is_dotted(module) and _is_dotted(path) and ":" not in path:
        return module, path
    raise UsageError(f"{quoted(spec)} is not {_FORM}", where=_WHERE, hint=_right_form(module, path))


def _is_dotted(name: str) -> bool:
    return all(part and not part.isspace() for part in name.split("."))


def _right_form(module: str, path: str) -> str:
    """How to write what was probably meant."""
    file = Path(module.removesuffix(".py"))
    path = "" if ":" in path else _joined([path])
    what = path or "ATTRIBUTE"
    if file.is_absolute() or ".." in file.parts:
        return f"write {file.name}:{what}, with PYTHONPATH={file.parent}"
    meaning = "" if path else ", ATTRIBUTE being what builds the model"
    return f"write {_joined(file.parts) or 'package.module'}:{what}{meaning}"


def _joined(parts: Iterable[str]) -> str:
    """A dotted name without empty parts."""
    return ".".join(filter(None, ".".join(parts).split(".")))


def _look_here_first() -> None:
    """Put the working directory first among the places that modules are imported from, once."""
    try:
        here = str(Path.cwd())
    except OSError:  # it vanished
        return
    with suppress(ValueError):
        sys.path.remove(here)
    sys.path.insert(0, here)
    importlib.invalidate_caches()  # a file may be younger than what Python knows of its folder


def _imported(name: str) -> ModuleType:
    with guest(f"importing {quoted(name)}", where=_WHERE):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if missing != name and not name.startswith(f"{missing}."):
                raise  # another module, which the user's imports
            raise _no_module(missing) from error


def _no_module(name: str) -> UsageError:
    parent, _, last = name.rpartition(".")
    places = getattr(sys.modules.get(parent), "__path__", ()) if parent else sys.path[:1]
    near = get_close_matches(last, [each.name for each in pkgutil.iter_modules(places)], 1)
    meant = f"{parent}.{near[0]}" if near and parent else "".join(near)
    hint = "it is looked for in the working directory, PYTHONPATH and the installed packages"
    hint = f"did you mean {meant!r}? {hint[0].upper()}{hint[1:]}" if meant else hint
    return UsageError(f"no module is called {quoted(name)}", where=_WHERE, hint=hint)


def _attribute(module: ModuleType, name: str, path: str) -> Any:  # noqa: ANN401 - of the user
    """The attribute that a dotted path leads to."""
    found: Any = module
    for part in path.split("."):
        holder, found = found, _member(found, part)
        if found is _MISSING:
            raise UsageError(
                f"{quoted(name)} has no attribute {quoted(part)}",
                where=_WHERE,
                hint=_known(holder, part),
            )
        name = f"{name}.{part}" if ":" in name else f"{name}:{part}"
    return found


def _member(holder: object, name: str) -> Any:  # noqa: ANN401 - of the user
    with guest(f"looking up {quoted(name)}", where=_WHERE):
        return getattr(holder, name, _MISSING)


def _known(holder: object, name: str) -> str:
    """The callable that was probably meant, or those that the holder itself defines."""
    with guest("listing what can be called", where=_WHERE):
        members = {each: inspect.getattr_static(holder, each, None) for each in dir(holder)}
    known = {
        each: value
        for each, value in members.items()
        if not each.startswith("_") and (callable(value) or isinstance(value, classmethod))
    }
    near = get_close_matches(name, known, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    home = getattr(holder, "__name__", None)
    own = [each for each, value in known.items() if not _is_imported(value, home)]
    return f"known: {several(own or known)}" if known else "nothing in it can be called"


def _is_imported(value: object, home: str | None) -> bool:
    """Whether a function or class was made in another place than below what holds it."""
    made = inspect.isfunction(value) or inspect.isclass(value)
    return made and not f"{getattr(value, '__module__', '')}.".startswith(f"{home}.")


def _called(
    found: Any,  # noqa: ANN401 - of the user
    spec: str,
    arguments: Sequence[Any] | Mapping[str, Any],
) -> nn.Module:
    """The model that a factory gives for the arguments."""
    from torch import nn

    if not callable(found):
        raise UsageError(
            f"{quoted(spec)} is {_a(found)}, expected a function, a class or a torch.nn.Module",
            where=_WHERE,
        )
    args = () if isinstance(arguments, Mapping) else tuple(arguments)
    kwargs = dict(arguments) if isinstance(arguments, Mapping) else {}
    _check_arguments(found, spec, args, kwargs)
    with guest(f"building {quoted(spec)}", where=_WHERE):
        given = found(*args, **kwargs)
    if isinstance(given, nn.Module):
        return given
    raise _not_a_model(spec, given)


def _check_arguments(
    factory: Callable[..., Any], spec: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Hold the arguments against the signature, where the factory has one.

    Of a wrapped function it is the wrapper's own: that may add arguments to those it is given.
    """
    with guest(f"reading the signature of {quoted(spec)}", where=_WHERE):
        try:
            signature = inspect.signature(factory, follow_wrapped=False)
        except (ValueError, TypeError):  # made in C
            return
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            takes = f"{quoted(spec)}, which takes {_parameters(signature)}"
            message = f"do not fit {takes}: {one_line(error)}"
            hint = "they are JSON: an object holds keywords, an array positional arguments"
            raise UsageError(message, where=_ARGUMENTS, hint=hint) from error


def _parameters(signature: inspect.Signature) -> str:
    """`(width, depth=2)`: without the types."""
    empty = inspect.Parameter.empty
    bare = [each.replace(annotation=empty) for each in signature.parameters.values()]
    return one_line(inspect.Signature(bare))


def _not_a_model(spec: str, given: object) -> UsageError:
    hints = {
        type(None): "does it end with return?",
        dict: "build the model; the state dict is read from the checkpoint",
    }
    if isinstance(given, type):
        found, hint = f"the class {quoted(given.__name__)}", "it gave the class, not a model"
    else:
        found, hint = _a(given), hints.get(type(given), "")
    message = f"{quoted(spec)} gave {found}, expected a torch.nn.Module"
    return UsageError(message, where=_WHERE, hint=hint)


def _a(value: object) -> str:
    """`an int`, `a dict`, `None`."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"


def check_values(model: nn.Module, *, where: str) -> None:
    """Refuse a model with tensors that hold no values yet: lazy ones, and those on `meta`.

    Raises:
        UsageError: It has one.
    """
    for name, tensor in _tensors(model):
        _check_tensor(name, tensor, where)


def _tensors(model: nn.Module) -> Iterable[tuple[str, Any]]:
    with guest("listing the parameters of the model", where=_WHERE):
        return list(chain(model.named_parameters(), model.named_buffers()))


def _check_tensor(name: str, tensor: Any, where: str) -> None:  # noqa: ANN401 - tensor or lazy
    from torch.nn.parameter import is_lazy

    if is_lazy(tensor):
        message = f"{quoted(name)} of the model is lazy: it has no shape before the first run"
        hint = "run it once on an example in the factory"
        raise UsageError(message, where=where, hint=hint)
    if tensor.is_meta:
        message = f"{quoted(name)} of the model is on the meta device, which holds no values"
        raise UsageError(message, where=where, hint="build it on a real device")
