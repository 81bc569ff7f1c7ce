"""Gated drafts become signed releases that devices may install."""
