"""What both sides agree is the most: sizes, counts and versions.

It does not know where they are checked: `codec` does that for every message.
"""

PROTOCOL_VERSION = 1

SESSION_BYTES = 16
DIGEST_BYTES = 16
MAX_MESSAGE_BYTES = 1 << 20
MAX_TOKEN_ID = (1 << 31) - 1
MAX_LOG_TOKENS = 1 << 20
MAX_APPEND_TOKENS = 1 << 16  # a longer prompt travels in several Appends
MAX_PROPOSE_NODES = 256  # nodes in one Propose
MAX_EPOCH_NODES = 4096  # nodes an epoch's trie may grow to; then the device starts another
MAX_TOP_TOKENS = 64  # entries in one TopRow
MAX_STOP_IDS = 64
MAX_NAME_BYTES = 64  # of each text in a Provenance
MAX_RUN_AHEAD = 4096
MAX_PATIENCE_MS = 86_400_000.0  # a day; infinite patience is said otherwise
MAX_SEED = (1 << 64) - 1
MIN_TEMPERATURE = 1e-6  # the smallest above 0: nothing overflows in a score
