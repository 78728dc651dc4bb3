"""Data-dependent initialization (Salimans & Kingma, arXiv:1602.07868, section 3): a model, run.

The one room that runs code of the user: `factory` imports what builds the model, `guest` is around
every call of it, `batch` holds what the model is run on.
"""
