"""A checkpoint initialized: loaded into the model, run, and told as steps for a writer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from normcli.errors import CheckpointError
from normcli.formats.spelling import quoted
from normcli.initialization.batch import call_arguments
from normcli.initialization.forms import Form, form_of
from normcli.initialization.layers import layers_of
from normcli.initialization.loading import load
from normcli.initialization.passes import Pass
from normcli.initialization.running import initialized
from normcli.initialization.stored import effective
from normcli.records import Change, NormState, Step
from normcli.rewrite import Planned
from normcli.rewrite.plans.choice import asked_for, parts_of, spelling
from normcli.rewrite.values.settled import Settled, largest_change

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from normcli.formats.base import Checkpoint
    from normcli.initialization.batch import Batch
    from normcli.initialization.layers import Layers
    from normcli.initialization.loading import Loaded
    from normcli.initialization.options import InitializeOptions
    from normcli.initialization.running import Run
    from normcli.records import Weight


def plan(
    checkpoint: Checkpoint, options: InitializeOptions, model: nn.Module, batch: Batch
) -> Planned:
    """A step for every layer that was initialized, with its values.

    Args:
        checkpoint: Opened; loaded into the model strictly.
        options: What was asked for.
        model: Filled and initialized; useless afterwards.
        batch: It is run on.

    Raises:
        CheckpointError: The checkpoint does not fit the model, or changed while it ran.
        UsageError: The batch does not, the model fails, or there is nothing to initialize.
    """
    try:
        planned = _planned(checkpoint, options, model, batch)
    except CheckpointError:
        checkpoint.check_unchanged()  # code of the user may have written to it: that is no damage
        raise
    checkpoint.check_unchanged()
    return planned


def _planned(
    checkpoint: Checkpoint, options: InitializeOptions, model: nn.Module, batch: Batch
) -> Planned:
    loaded = load(
        model, checkpoint, section=options.section, prefix=options.prefix, dims=options.dims
    )
    arguments, keywords, notes = call_arguments(model, batch.tensors, where=batch.file.name)
    found = layers_of(model)
    asked = _asked(found, loaded, options)
    forms, unfit = _forms(asked, found, loaded, options)
    layers = {  # by the names of the file, which is what is told of them
        weight.name: replace(found.layers[key], key=weight.name)
        for key, weight in asked.items()
        if weight.name in forms
    }
    run = initialized(
        Pass(model, arguments, keywords, options.training, options.seed, batch.file.name),
        layers,
        {name: form.stored(checkpoint, layers[name]) for name, form in forms.items()},
        unfit,
        strict=options.strict,
    )
    planned = Planned(notes=(*loaded.notes, *notes), batch=batch.file)
    for weight in asked.values():
        if weight.name in run.left:
            planned.leave(weight, run.left[weight.name], options)
        else:
            _add(planned, forms[weight.name], run, checkpoint if options.thorough else None)
    return planned


def _asked(found: Layers, loaded: Loaded, options: InitializeOptions) -> dict[str, Weight]:
    """Key in the model → weight of the file, of those that are asked for, in checkpoint order.

    The first key where the file records that one tensor has several.
    """
    wide = {each.key for each in found.weights}
    stored: dict[str, str] = {}
    order = []
    for key, weight in loaded.weights.items():
        if key in wide and stored.setdefault(weight.name, key) == key:
            order.append(weight)
    return {stored[weight.name]: weight for weight in asked_for(order, options)}


def _forms(
    asked: Mapping[str, Weight], found: Layers, loaded: Loaded, options: InitializeOptions
) -> tuple[dict[str, Form], dict[str, str]]:
    """(name of a weight → form of its layer, name → why there is none)."""
    forms: dict[str, Form] = {}
    unfit: dict[str, str] = {}
    twins = _twins(loaded)
    for key, weight in asked.items():
        layer = found.layers.get(key)
        if layer is None:
            unfit[weight.name] = found.unfit[key]
            continue
        twin = twins.get(key) or twins.get(layer.bias_key)
        form = form_of(layer, loaded.weights, options)
        if twin:
            unfit[weight.name] = f"the file stores it once, for {quoted(twin)} as well"
        elif isinstance(form, Form):
            forms[weight.name] = form
        else:
            unfit[weight.name] = form
    return forms, unfit


def _twins(loaded: Loaded) -> dict[str, str]:
    """Key in the model → another key that the file records as the same tensor."""
    twins: dict[str, str] = {}
    first: dict[str, str] = {}
    for key, weight in loaded.weights.items():
        other = first.setdefault(weight.name, key)
        if other != key:
            twins[key] = other
            twins.setdefault(other, key)
    return twins


def _step(form: Form, *, keeps_v: bool) -> Step:
    weight, result = form.weight, form.result
    if isinstance(result, NormState):
        change = "g ÷ σ[t], bias too" if keeps_v else "weight ÷ σ[t], bias too; g = ‖v‖"
    else:
        change = "weight ÷ σ[t], bias too"
    return Step(
        verb="initialize",
        weight=weight,
        before=spelling(weight),
        after=spelling(result),
        axis=form.axis,
        takes=(*parts_of(weight), form.bias),
        gives=form.gives(keeps_v=keeps_v),
        change=change,
        result=result,
    )


def _add(planned: Planned, form: Form, run: Run, checkpoint: Checkpoint | None) -> None:
    """A step with its tensors, and with a checkpoint how far its weight moved."""
    done = run.done[form.weight.name]
    layer = run.layers[form.weight.name]
    step = _step(form, keeps_v=done.keeps_v)
    delta = None
    if checkpoint is not None:
        delta = largest_change(form.effective(checkpoint), effective(done.parts, form.axis))
    change = Change(form.axis, largest_change=delta, notes=layer.notes, layer=layer)
    made = {ref.name: done.parts[role] for role, ref in form.parts().items()}
    planned.steps.append(step)
    planned.done[step.name] = Settled(change, made)
