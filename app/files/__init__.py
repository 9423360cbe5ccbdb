"""Files in and out: rows of pings and incidents, boundaries, and tables written.

The only importer of geopandas and pyogrio. A file is read in pieces (`reading`), whose rows a
profile turns into columns (`mapping`); nothing here checks what the values say.
"""

from app.files.boundaries import Boundary, read_area, read_districts
from app.files.georss import check_georss
from app.files.gpx import is_gpx
from app.files.mapping import Mapped, Numbering, incidents_of_rows, pings_of_rows
from app.files.reading import Source, open_rows
from app.files.rows import Rows
from app.files.whole import incidents_of_file, pings_of_file
from app.files.writing import write_parquet, write_text

__all__ = [
    "Boundary",
    "Mapped",
    "Numbering",
    "Rows",
    "Source",
    "check_georss",
    "incidents_of_file",
    "incidents_of_rows",
    "is_gpx",
    "open_rows",
    "pings_of_file",
    "pings_of_rows",
    "read_area",
    "read_districts",
    "write_parquet",
    "write_text",
]
