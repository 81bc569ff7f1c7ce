"""The adapter to llama.cpp, and the only importer of `llama_cpp`.

It knows models, tokens and KV cells, not the cloud nor the loop that drafts.
"""
