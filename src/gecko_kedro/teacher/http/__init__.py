"""The HTTP backend: vLLM's server, llama.cpp, TGI and hosted services.

Nothing is imported here, so that its settings can be read without an HTTP library.
"""
