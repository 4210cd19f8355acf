"""Weight transfer: initialise a model with the weights of a trained donor of another architecture.

Three methods fill tensors whose shapes differ: *ordered* copies leading rows and columns (FlexiBERT, arXiv 2205.11656),
*projection* multiplies by random matrices, *transport* moves neurons by optimal transport (arXiv 1910.05653).
"""

from explorer.models.transfer.fitting import Transfer
from explorer.models.transfer.report import Method, PartReport, TensorReport, TransferReport
from explorer.models.transfer.walk import transfer_weights, transferred

__all__ = ["Method", "PartReport", "TensorReport", "Transfer", "TransferReport", "transfer_weights", "transferred"]
