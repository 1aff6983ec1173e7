"""Tables of metrics that were computed elsewhere: CellProfiler's, cellqc's own, or any with wells in it.

`read_metric_table` gives the numbers of each field and says, by row and column, what could not be read.
"""

from imaging.tables.model import FieldPlace, FileColumn, MetricTable, TableError, TableProblem
from imaging.tables.reading import read_metric_table

__all__ = ["FieldPlace", "FileColumn", "MetricTable", "TableError", "TableProblem", "read_metric_table"]
