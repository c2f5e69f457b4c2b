"""One file for each shape that training data comes in; all give the unified format."""
