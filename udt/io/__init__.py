"""Files -> columns: CSV, TSV, Parquet, JSON lines, lines of text; or sparse rows: SVMlight, XMC."""

from udt.io.files import FORMATS, guess_format
from udt.io.json_lines import read_records
from udt.io.lines import read_lines
from udt.io.svmlight import read_svmlight, read_xmc, stream_xmc
from udt.io.svmlight_writing import write_svmlight, write_xmc
from udt.io.tables import LabelledTable, read_table

__all__ = [
    "FORMATS",
    "LabelledTable",
    "guess_format",
    "read_lines",
    "read_records",
    "read_svmlight",
    "read_table",
    "read_xmc",
    "stream_xmc",
    "write_svmlight",
    "write_xmc",
]
