"""The six Kedro pipelines."""
