"""The assembler of odd files is that of the readers' tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "formats"))
