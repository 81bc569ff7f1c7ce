"""Outrider on the device: a GGUF draft, the loop around it, and the line to the cloud."""
