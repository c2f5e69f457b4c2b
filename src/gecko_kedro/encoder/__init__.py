"""The embedding model: input format, loading, saving and encoding."""
