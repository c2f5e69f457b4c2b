"""MTEB tasks, intervals, comparison tables, plots and the report."""
