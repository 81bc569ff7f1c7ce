"""What all tests share.

Properties are checked without a deadline, machines are slow at times. Programs under test get
Ctrl-C as at a keyboard: a shell that runs the tests in the background ignores it, and children
would inherit that.
"""

import signal

from hypothesis import settings

settings.register_profile("outrider", deadline=None)
settings.load_profile("outrider")
signal.signal(signal.SIGINT, signal.default_int_handler)
