"""The Kedro pipelines: the six of the road, and those beside it."""
