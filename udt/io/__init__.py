"""Files -> columns: CSV, TSV, Parquet, JSON lines and plain lines of text."""

from udt.io.files import FORMATS, guess_format
from udt.io.json_lines import read_records
from udt.io.lines import read_lines
from udt.io.tables import LabelledTable, read_table

__all__ = [
    "FORMATS",
    "LabelledTable",
    "guess_format",
    "read_lines",
    "read_records",
    "read_table",
]
