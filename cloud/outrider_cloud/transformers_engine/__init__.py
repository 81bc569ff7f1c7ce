"""The engine on torch and transformers: packed ragged batches over a paged KV pool."""
