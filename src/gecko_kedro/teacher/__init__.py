"""The LLM: one small protocol, its backends, the response store and token accounting."""
