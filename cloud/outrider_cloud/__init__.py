"""Outrider in the cloud: a target model that judges what devices propose."""
