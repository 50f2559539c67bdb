"""Data sets: small real ones that come with the package, known ones to fetch, synthetic ones."""

from udt.datasets.bundled import load_adult, load_banking77
from udt.datasets.downloads import get_data_home
from udt.datasets.synthetic import XMC_SHAPES, XMCShape, make_xmc_classification, make_xmc_like
from udt.datasets.texts import (
    fetch_ag_news,
    fetch_dbpedia14,
    fetch_imdb,
    fetch_text8,
    fetch_yelp_polarity,
)
from udt.datasets.xmc import fetch_amazon670k, fetch_eurlex4k, fetch_wikilshtc325k

__all__ = [
    "XMC_SHAPES",
    "XMCShape",
    "fetch_ag_news",
    "fetch_amazon670k",
    "fetch_dbpedia14",
    "fetch_eurlex4k",
    "fetch_imdb",
    "fetch_text8",
    "fetch_wikilshtc325k",
    "fetch_yelp_polarity",
    "get_data_home",
    "load_adult",
    "load_banking77",
    "make_xmc_classification",
    "make_xmc_like",
]
