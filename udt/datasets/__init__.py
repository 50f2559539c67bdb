"""Data sets: small real ones that come with the package, known ones to fetch, synthetic ones."""

from udt.datasets.bundled import load_adult, load_banking77
from udt.datasets.synthetic import XMC_SHAPES, XMCShape, make_xmc_classification, make_xmc_like

__all__ = [
    "XMC_SHAPES",
    "XMCShape",
    "load_adult",
    "load_banking77",
    "make_xmc_classification",
    "make_xmc_like",
]
