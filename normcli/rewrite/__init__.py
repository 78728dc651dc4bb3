"""Writing norms: what becomes of every weight, decided from the header, computed tensor by tensor.

`plan` decides from names, shapes and dtypes; `settle` looks at the values of one weight; what is
large is computed once more when the writer of the format asks for it. To add a verb: a module with
`plan` and `settle`, and a line in `WRITES`.
"""

from normcli.rewrite.options import Options
from normcli.rewrite.plan import Planned, check_free, draft_of

__all__ = ["Options", "Planned", "check_free", "draft_of"]
