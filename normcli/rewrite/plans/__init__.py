"""What becomes of every weight, decided from names, shapes and dtypes: no tensor, no torch.

To add a verb: a module with `plan(weights, options)` and a line in `PLANS`, and its values in
`normcli.rewrite.values`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from normcli.rewrite.plans import apply, convert, refresh, remove
from normcli.rewrite.plans.plan import Planned, check_free, draft_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from normcli.records import Weight
    from normcli.rewrite.options import Options

PLANS: Mapping[str, Callable[[Sequence[Weight], Options], Planned]] = {
    "apply": apply.plan,
    "remove": remove.plan,
    "convert": convert.plan,
    "refresh": refresh.plan,
}

__all__ = ["PLANS", "Planned", "check_free", "draft_of"]
