"""Writing norms: a plan from the header, the values of each weight, a file that appears whole.

`plans` decides from names, shapes and dtypes; `values` looks at one weight after the other; what
is as large as a weight is computed once more when the writer of the format asks for it.
"""

from normcli.rewrite.options import Options
from normcli.rewrite.plans import PLANS, Planned, check_free, draft_of

__all__ = ["PLANS", "Options", "Planned", "check_free", "draft_of"]
