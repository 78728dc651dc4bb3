"""What a policy can demand."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from normcli.rules.base import Rule

RULES: Mapping[str, Rule] = MappingProxyType({})
