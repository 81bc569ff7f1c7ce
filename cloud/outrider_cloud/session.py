"""One session: its token log, the generation that runs on it, and the epoch that proposes for it.

Pure state. It knows neither streams nor other sessions, holds no KV (only how much of its log the
engine has), and is told the time.

A generation begins with Open: while the log is shorter than declared it is FILLING, then RUNNING
until it ends; then the session is IDLE and ignores whatever was still on its way. Proposals, asks
and acks may come while the log is still FILLING, since a device need not wait for Opened; they are
held and count from the start.
"""

from collections.abc import Sequence
from enum import Enum

from outrider_cloud.cost import Acceptance
from outrider_cloud.engine import EngineLimits
from outrider_cloud.errors import PeerCode, PeerError
from outrider_cloud.trace import Opening
from outrider_cloud.trie import EpochTrie
from outrider_protos.loghash import LogHash
from outrider_protos.words import (
    Append,
    CloudWord,
    Distance,
    Finish,
    FinishReason,
    Open,
    Opened,
    Propose,
    Provenance,
)


class Phase(Enum):
    """Where a session's generation stands."""

    IDLE = "idle"
    FILLING = "filling"
    RUNNING = "running"


class Session:
    """See the module. `handle` names its KV to the engine."""

    def __init__(self, owner: str, name: bytes, handle: int, limits: EngineLimits) -> None:
        self.owner = owner
        self.name = name
        self.handle = handle
        self.stream: int | None = None
        self.phase = Phase.IDLE
        self.log: list[int] = []
        self.kv = 0  # leading tokens of the log whose KV stands
        self.acceptance = Acceptance()
        self.serial = 0  # of the generation: later ones have larger numbers
        self.served = 0  # grows with every turn; smaller is longer ago
        self._stale_nodes = 0  # of epochs that are gone
        self._limits = limits
        self._replayed = False  # all of the log came with this Open
        self._judged = False  # since Open; the first token comes with the prompt's own forward
        self._acked = 0
        self._asked_at: int | None = None
        self._called_s: float | None = None  # since when the device waits for a forward
        self._idle_s = 0.0  # since when there is nothing to judge
        self.trie: EpochTrie | None = None
        self.open: Open

    # What the device says.

    def begin(self, word: Open, serial: int, now_s: float) -> list[CloudWord]:
        """Cut the log at `keep` and start the generation, at once if the log is there."""
        self.stop()
        self.open = word
        self.serial = serial
        self.phase = Phase.FILLING
        self._judged = False
        self._acked = word.length
        self._asked_at = None
        self._cut(word.keep)
        if self._differs():
            self._cut(0)
        self._replayed = not self.log
        return [Opened(len(self.log)), *self._start(now_s)]

    def append(self, word: Append, now_s: float) -> list[CloudWord]:
        """Fill the log. Tokens beyond a gap are ignored: the device sends them again.

        Raises PeerError for more tokens than declared, and for a log that differs from the
        declared one although all of it has come since Open.
        """
        if self.phase is not Phase.FILLING or word.at > len(self.log):
            return []
        if word.at + len(word.tokens) > self.open.length:
            raise PeerError(PeerCode.OUT_OF_ORDER, "more tokens than the declared length")
        check_ids("append.tokens", word.tokens, self._limits)
        self.log += word.tokens[len(self.log) - word.at :]
        if not self._differs():
            return self._start(now_s)
        if self._replayed:
            raise PeerError(PeerCode.LOG_DIFFERS, "the log does not have the declared digest")
        self._cut(0)
        self._replayed = True
        return [Opened(0)]

    def propose(self, word: Propose, now_s: float) -> None:
        """Add nodes to the current epoch or start a newer one; older ones are dropped.

        Going on with an epoch, `at` is the epoch's or 0. Without tokens it is an ask: one token
        beyond `at` is wanted, if the log has none there yet; `epoch` and `first_node` do not count.
        Raises PeerError.
        """
        if self.phase is Phase.IDLE:
            return
        self._check_proposal(word)
        if word.tokens:
            self._grow(word)
        else:
            self._asked_at = word.at
        self._acked = max(self._acked, word.at)
        self._update_call(now_s)

    def ack(self, length: int) -> None:
        """The device has seen so much of the log. Raises PeerError if there is less."""
        if self.phase is Phase.IDLE:
            return
        self._check_reached("ack.length", length)
        self._acked = max(self._acked, length)

    def stop(self) -> None:
        """End the generation, if one runs; log and KV stay."""
        self.phase = Phase.IDLE
        self._called_s = None
        self._leave_epoch()

    def opening(self) -> Opening:
        """What a record of this generation begins with."""
        word = self.open
        return Opening(
            owner=self.owner,
            prompt=tuple(self.log[: word.length]),
            sampling=word.sampling,
            rollback=word.rollback,
            provenance=word.provenance or Provenance(),
        )

    # What the forwards need and bring.

    @property
    def stale_nodes(self) -> int:
        """Proposed nodes that nobody had to judge any more."""
        return self._stale_nodes + (0 if self.trie is None else self.trie.stale)

    @property
    def missing(self) -> int:
        """Log tokens to feed before the next token can be chosen; at least 1 while RUNNING."""
        return len(self.log) - self.kv

    @property
    def limit(self) -> int:
        """The log length that ends the generation."""
        return min(self.open.max_length, self._limits.context_tokens)

    def ready_at_s(self) -> float | None:
        """From when on a RUNNING session wants a forward; None: not before the device speaks."""
        if self._called_s is not None:
            return self._called_s
        patience_ms = self.open.patience_ms
        if patience_ms is None or len(self.log) >= self._acked + self.open.run_ahead:
            return None
        return self._idle_s + patience_ms / 1000

    def commit(self, tokens: Sequence[int], now_s: float) -> FinishReason | None:
        """Append the target's tokens until one ends the generation, and say why it did."""
        reason = None
        for token in tokens:
            self.log.append(token)
            reason = self._end(token)
            if reason is not None:
                break
        self._judged = True
        self._follow()
        self._called_s = None
        self._idle_s = now_s
        self._update_call(now_s)
        return reason

    def _end(self, token: int) -> FinishReason | None:
        if token in self._limits.end_ids:
            return FinishReason.END_TOKEN
        if token in self.open.stop_ids:
            return FinishReason.STOP_TOKEN
        return self._full()

    def _full(self) -> FinishReason | None:
        if len(self.log) >= self.open.max_length:
            return FinishReason.LENGTH
        if len(self.log) >= self._limits.context_tokens:
            return FinishReason.CONTEXT
        return None

    def _start(self, now_s: float) -> list[CloudWord]:
        """Run, once the log is as long as declared (and its digest was found right)."""
        if len(self.log) < self.open.length:
            return []
        reason = self._full()
        if reason is not None:
            self.stop()
            return [Finish(reason)]
        self.phase = Phase.RUNNING
        self.kv = min(self.kv, len(self.log) - 1)  # the last token is fed to get the first row
        self._follow()
        self._idle_s = now_s
        self._update_call(now_s)
        return []

    def _differs(self) -> bool:
        complete = len(self.log) == self.open.length
        return complete and LogHash(self.log).digest() != self.open.digest

    def _cut(self, length: int) -> None:
        del self.log[length:]
        self.kv = min(self.kv, len(self.log))

    def _grow(self, word: Propose) -> None:
        trie = self.trie
        if trie is not None and word.epoch < trie.epoch:
            self._stale_nodes += len(word.tokens)
            return
        if trie is None or word.epoch > trie.epoch:
            if word.epoch < 1 or word.at < 1:
                raise PeerError(PeerCode.OUT_OF_ORDER, "epochs count from 1, after a token")
            trie = EpochTrie(word.epoch, word.at)
        elif word.at not in (0, trie.at):
            raise PeerError(PeerCode.OUT_OF_ORDER, "an epoch cannot move")
        trie.add(word)
        if trie is not self.trie:
            self._leave_epoch()
            self.trie = trie
        if self.phase is Phase.RUNNING:
            self._follow()

    def _follow(self) -> None:
        if self.trie is not None:
            for comparison in self.trie.follow(self.log):
                self.acceptance.observe(comparison)

    def _leave_epoch(self) -> None:
        if self.trie is not None:
            self.trie.close()
            self._stale_nodes += self.trie.stale
            self.trie = None

    def _update_call(self, now_s: float) -> None:
        pending = self.trie is not None and self.trie.pending
        if not (pending or not self._judged or self._asked_at == len(self.log)):
            self._called_s = None
        elif self._called_s is None:
            self._called_s = now_s

    def _check_proposal(self, word: Propose) -> None:
        self._check_reached("propose.at", word.at)
        check_ids("propose.tokens", word.tokens, self._limits)
        rollback = self.open.rollback
        if rollback is not None and rollback.distance is not Distance.SURPRISE:
            if word.tokens and word.top is None:
                text = f"{rollback.distance.value} needs propose.top"
                raise PeerError(PeerCode.OUT_OF_RANGE, text)
            for row in word.top or ():
                check_ids("propose.top.tokens", row.tokens, self._limits)

    def _check_reached(self, field: str, length: int) -> None:
        reached = self.open.length if self.phase is Phase.FILLING else len(self.log)
        if length > reached:
            text = f"{field} is {length}, but the log has {reached} tokens"
            raise PeerError(PeerCode.OUT_OF_ORDER, text)


def check_open(word: Open, limits: EngineLimits) -> None:
    """Raises PeerError for what this target can never do."""
    if word.length >= limits.context_tokens:
        most = limits.context_tokens
        text = f"the prompt has {word.length} tokens, the target's context holds {most}"
        raise PeerError(PeerCode.TOO_LARGE, text)
    check_ids("open.stop_ids", word.stop_ids, limits)


def check_ids(field: str, tokens: Sequence[int], limits: EngineLimits) -> None:
    """Raises PeerError for ids that are not in the target's vocabulary."""
    if tokens and max(tokens) >= limits.vocab_size:
        text = f"{field} holds a token id above {limits.vocab_size - 1}, the target's last"
        raise PeerError(PeerCode.OUT_OF_RANGE, text)
