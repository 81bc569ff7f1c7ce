"""Measurements behind the documentation's numbers; each module is one command."""
