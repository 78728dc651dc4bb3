"""One torch thread: on a busy machine short operations of several take a hundred times longer."""

import torch

torch.set_num_threads(1)
