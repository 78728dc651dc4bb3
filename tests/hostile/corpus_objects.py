"""Group B, what is odd and valid: names, foreign objects, protocols, and tensors of every kind."""

from __future__ import annotations

import argparse
import datetime as dt
import io

import hostile
import torch
from cases import NOTED, READ, REFUSED, Case, written
from hostile import integer, name, ordered_dict, pickle, row, table, tensor, text
from zip_files import NUMBERS

_MATRIX = tensor(shape=(2, 2), stride=(2, 1))
_LOST = "a weight that nobody looks at, or other numbers than torch has"
_SPEAKS = "the name speaks to the terminal or to the CI"
_FOREIGN = "a class of a stranger is imported and built"


def _assembled(label, pickled, why, verdict=READ, says="", **more):
    build = written("model.pt", lambda: hostile.archive(pickled, {"0": NUMBERS}))
    return Case(label, "B", build, verdict, says, why, **more)


def _named(label, key, verdict=READ, says=""):
    return _assembled(
        f"a name with {label}", pickle(table((text(key), _MATRIX))), _SPEAKS, verdict, says
    )


def _saved(label, make, why=_LOST, verdict=READ, says="", *, protocol=2, options=()):
    """What torch.save itself writes."""

    def content():
        torch.manual_seed(0)
        buffer = io.BytesIO()
        torch.save(make(), buffer, pickle_protocol=protocol)
        return buffer.getvalue()

    build = written("model.pt", content)
    return Case(label, "B", build, verdict, says, why, options=options)


def _configured():
    return {"weight": torch.ones(2, 3), "args": argparse.Namespace(lr=0.1)}


def _trained():
    """A model, and its optimizer after a step."""
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}


def _listed():
    return {"lists": [torch.randn(2, 2), (torch.eye(3), [torch.randn(1, 2)])], "epoch": 3}


def _parameter():
    return {"weight": torch.nn.Parameter(torch.randn(2, 3))}


def _tied():
    weight = torch.randn(4, 3)
    return {"encoder": weight, "decoder": weight, "view": weight[1:, :2]}


def _typed(*dtypes):
    return lambda: {str(dtype): torch.randn(3, 4).to(dtype) for dtype in dtypes}


def _unsigned():
    return {"weight": torch.arange(6, dtype=torch.int32).reshape(2, 3).to(torch.uint16)}


def _channels_last():
    return {"weight": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)}


_NAMES = (
    _assembled('key 1 beside key "1"',
               pickle(table((integer(1), _MATRIX), (text("1"), _MATRIX))), _LOST),
    _named("markup", "[bold red]x[/]"),
    _named("ESC", "\x1b]0;title\x07\x1b[31mred"),
    _named("BEL", "\x07"),
    _named("a newline", "a\nnormcli: all is well"),
    _named("::error::", "::error::x"),
    _named("right-to-left marks", "\u202egpj\u200f"),
    _named("a lone surrogate", "\ud800"),
)  # fmt: skip

_OBJECTS = (
    _saved("Namespace", _configured, _FOREIGN, REFUSED, "argparse.Namespace (1, at args)"),
    _saved("Namespace with --allow-opaque", _configured, _FOREIGN, options=("--allow-opaque",)),
    _assembled("OmegaConf", pickle(table(
        (text("a"), _MATRIX),
        (text("config"), name("omegaconf.dictconfig", "DictConfig") + b")\x81}b"))),
        _FOREIGN, REFUSED, "omegaconf.dictconfig.DictConfig (1, at config)"),
    _assembled("numpy scalar", pickle(table(
        (text("a"), _MATRIX),
        (text("best"), name("numpy.core.multiarray", "scalar") + row(b"N", b"N") + b"R"))),
        _FOREIGN, REFUSED, "numpy.core.multiarray.scalar (1, at best)"),
    _saved("datetime", lambda: {"weight": torch.eye(2), "day": dt.date(2020, 1, 1)}, _FOREIGN,
           REFUSED, "datetime.date (1, at day)"),
    _assembled("extra tensor attributes", pickle(table((text("a"),
        name("torch._tensor", "_rebuild_from_type_v2") + row(
            name("torch._utils", "_rebuild_tensor_v2"), name("torch", "Tensor"),
            row(hostile.storage(), integer(0), row(integer(2), integer(2)),
                row(integer(2), integer(1)), b"\x89", ordered_dict()),
            table((text("note"), text("lies")))) + b"R"))),
        "its attributes lie", NOTED, "attributes"),
)  # fmt: skip

_TENSORS = (
    _saved("protocol 4", _listed, protocol=4),
    _saved("protocol 5", _listed, protocol=5),
    _saved("tensors in lists", _listed),
    _saved("optimizer states", _trained, verdict=NOTED, says="optimizer/…: optimizer state"),
    _saved("Parameter", _parameter),
    _saved("tied", _tied),
    _saved("transposed", lambda: {"weight": torch.randn(3, 4).t()}),
    _saved("channels-last", _channels_last),
    _saved("bf16", _typed(torch.bfloat16)),
    _saved("fp8", _typed(torch.float8_e4m3fn, torch.float8_e5m2)),
    _saved("complex", _typed(torch.complex64, torch.complex128)),
    _saved("uint16", _unsigned, verdict=NOTED, says="norms are of floating-point weights"),
    _saved("bool", _typed(torch.bool), verdict=NOTED, says="norms are of floating-point weights"),
    _saved("0-dim", lambda: {"scale": torch.tensor(2.5)}),
    _saved("(0, 5)", lambda: {"weight": torch.zeros(0, 5)}),
)

CASES: tuple[Case, ...] = (*_NAMES, *_OBJECTS, *_TENSORS)
