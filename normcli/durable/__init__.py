"""Files and folders that are put on disk whole or not at all, and that stay when power fails.

First `check_target` or `check_folder`, before anything is computed; then `new_file` or
`new_folder`, which publish when their block ends without an error.
"""

from normcli.durable.publishing import NewFile, new_file, new_folder
from normcli.durable.target import check_folder, check_target, is_plain, is_same

__all__ = [
    "NewFile",
    "check_folder",
    "check_target",
    "is_plain",
    "is_same",
    "new_file",
    "new_folder",
]
