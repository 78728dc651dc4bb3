"""A verdict in every format that has a name, each in a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from normcli.render.gate_concise import write_concise
from normcli.render.gate_document import GateDocument
from normcli.render.gate_full import write_full
from normcli.render.gate_github import write_github
from normcli.render.gate_gitlab import write_gitlab
from normcli.render.gate_json import write_json
from normcli.render.gate_junit import write_junit
from normcli.render.gate_markdown import write_markdown
from normcli.render.gate_sarif import write_sarif
from normcli.render.page import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

GateWriter: TypeAlias = Callable[[GateDocument, Page], None]

GATE_FORMATS: Mapping[str, GateWriter] = MappingProxyType(
    {
        "full": write_full,
        "concise": write_concise,
        "json": write_json,
        "markdown": write_markdown,
        "github": write_github,
        "gitlab": write_gitlab,
        "junit": write_junit,
        "sarif": write_sarif,
    }
)

__all__ = ["GATE_FORMATS", "GateDocument", "GateWriter"]
