"""What all tests share: properties are checked without a deadline, machines are slow at times."""

from hypothesis import settings

settings.register_profile("outrider", deadline=None)
settings.load_profile("outrider")
