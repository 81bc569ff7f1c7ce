"""Releases of drafts: their files for devices, and what becomes of them there."""
