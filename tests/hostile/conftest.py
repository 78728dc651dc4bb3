"""The assembler of odd files, the processes and the small disks are those of other tests."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent.parent / room) for room in ("formats", "cli", "durable")]
