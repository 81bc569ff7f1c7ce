"""The loop: draft here, judged there, and the log is what the target says.

`Speculation` is one generation as a pure machine over token ids. Words from the cloud and
expansions from the draft go in; words for the cloud, events for the reader and the next drafting
job come out. It knows no clock, no socket and no model; whoever drives it may lose the connection
at any moment, and tells it so. Design sections 4 and 5; Big-Little: Kim et al., section 3.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from outrider_edge.draft import Detail, Expansion, Leaf
from outrider_edge.errors import ProtocolError
from outrider_edge.events import Event, Origin
from outrider_edge.policy import Policy
from outrider_edge.proposals import Proposals
from outrider_edge.request import Request
from outrider_edge.rest import Rest
from outrider_edge.show import Show
from outrider_edge.tempo import Tempo
from outrider_edge.tree import DraftTree
from outrider_protos.limits import MAX_APPEND_TOKENS
from outrider_protos.loghash import LogHash
from outrider_protos.words import (
    Ack,
    Append,
    Cancel,
    CloudWord,
    Commit,
    DeviceWord,
    Finish,
    FinishReason,
    Open,
    Opened,
    Propose,
)

TOP_TOKENS = 16  # of the draft's distribution, for the distances that need it


@dataclass(slots=True)
class Tally:
    """Counts of one generation, for the ledger and the benchmarks."""

    commits: int = 0  # the target's passes for this generation
    proposals: int = 0  # Propose messages
    proposed: int = 0  # nodes sent
    by_draft: int = 0  # committed tokens the draft had proposed
    by_target: int = 0
    drafted: int = 0  # leaves expanded
    rollbacks: int = 0
    connects: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """Drafting to be done: `log` is set when the draft must begin anew after it."""

    log: Sequence[int] | None
    anchor: int  # an expanded node the log runs through: what does not pass it is of no use
    leaves: tuple[Leaf, ...]
    detail: Detail


@dataclass(slots=True)
class _Outbox:
    words: list[DeviceWord] = field(default_factory=list)

    def take(self) -> list[DeviceWord]:
        words, self.words = self.words, []
        return words


class Speculation:
    """One generation. Feed it with `hear` and `drafted`; drain `words`, `events` and `job`."""

    def __init__(
        self,
        request: Request,
        policy: Policy,
        *,
        drafting: bool = True,
        tempo: Tempo | None = None,
    ) -> None:
        self.request = request
        self._tempo = tempo or Tempo()
        self._heard_at_s: float | None = None  # the commit before; None after a pause
        self.log = list(request.log)
        self.finished: FinishReason | None = None
        self.tally = Tally()
        self.choices: dict[int, int] = {}  # log index -> the target's choice there, if wanted
        self._policy = policy
        self._detail = policy.detail(request.rollback, TOP_TOKENS)
        self._drafting = drafting
        self._ends = request.end_ids | frozenset(request.stop_ids)
        self._hash = LogHash()
        self._hash.append(self.log)
        self._outbox = _Outbox()
        self._show = Show(len(self.log), provisional=policy.fallback is not None)
        self._tree = DraftTree(self.log)
        self._begin = True  # the draft has not been told of this tree
        self._unsent: list[int] = []
        self._holds: deque[int] = deque()  # nodes the draft was unsure of; judged text ends before
        self._products = {0: 1.0}  # per node: probability of its span so far
        self._proposals = Proposals(
            with_top=self._detail.top_tokens > 0, most_nodes=policy.epoch_nodes
        )
        self._acked = len(self.log)
        self._rest = Rest(self._tempo)
        self._keep = request.keep  # what the cloud is believed to have when a stream comes up
        self._opened = False
        self._online = False
        self._away = False  # a stream was lost (or never came up)
        self._cancelled = False

    # ---- the connection

    def connected(self) -> None:
        """A stream is up: declare the log, and propose again what is not judged."""
        self.tally.connects += 1
        self._online, self._opened, self._away = True, False, False
        self._outbox.words = [self._open(self._keep)]
        self._append_from(self._keep)
        self._proposals.reconnected()
        self._acked = len(self.log)
        self._holds.clear()  # what was written meanwhile is text now, to be judged like any
        self._unsent = list(self._tree.ahead)
        self._flush()

    def disconnected(self) -> None:
        """The stream is gone. Exact mode waits; Big-Little goes on writing, unverified."""
        self._online, self._away = False, True
        self._outbox.words = []
        self._heard_at_s = None
        self.finished = self.request.end_of(self.log)  # its Finish may be what was lost
        if self._cancelled:
            self.finished = FinishReason.CANCELLED
        if self.finished is None:
            self._publish()

    def cancel(self) -> None:
        """The reader has enough. A cloud that never answered need not be told."""
        self._cancelled = True
        if self.finished is not None:
            return
        if self._online and self._opened:
            self._outbox.words.append(Cancel())
        else:
            self.finished = FinishReason.CANCELLED

    def _open(self, keep: int) -> Open:
        request = self.request
        return Open(
            session=request.session,
            keep=keep,
            length=len(self.log),
            digest=self._hash.digest(),
            max_length=request.max_length,
            stop_ids=request.stop_ids,
            sampling=request.sampling,
            rollback=request.rollback,
            patience_ms=request.patience_ms,
            run_ahead=request.run_ahead,
            wants=request.wants,
            consent=request.provenance is not None,
            provenance=request.provenance,
        )

    def _append_from(self, start: int) -> None:
        for at in range(start, len(self.log), MAX_APPEND_TOKENS):
            tokens = tuple(self.log[at : at + MAX_APPEND_TOKENS])
            self._outbox.words.append(Append(at=at, tokens=tokens))

    # ---- what the cloud says

    def hear(self, word: CloudWord, now_s: float) -> None:
        """Take one word of the cloud. Raises ProtocolError when it cannot be true."""
        match word:
            case Opened():
                self._hear_opened(word)
            case Commit():
                self._measure(word, now_s)
                self._hear_commit(word)
            case Finish():
                self.finished = word.reason
                self._show.retract()  # what is past the log will not be judged any more
            case _:  # GoAway is the driver's business
                raise ProtocolError("the cloud said a word that does not belong here")

    def _measure(self, commit: Commit, now_s: float) -> None:
        if self._heard_at_s is not None:
            self._tempo.committed(commit.length - len(self.log), now_s - self._heard_at_s)
        self._heard_at_s = now_s

    def _hear_opened(self, word: Opened) -> None:
        if word.have > len(self.log):
            raise ProtocolError("the cloud claims more of the log than there is")
        if self._opened or word.have < self._keep:  # a second one: the digest differed
            self._append_from(word.have)
        self._opened = True

    def _hear_commit(self, commit: Commit) -> None:
        if not self._opened:
            raise ProtocolError("the cloud committed before it opened the session")
        known = len(self.log)
        path = self._proposals.path(commit, self._tree, known)
        if known + len(path) + len(commit.tokens) != commit.length:
            raise ProtocolError("a commit does not continue the log")
        self._grow(path, Origin.DRAFT)
        self._grow(commit.tokens, Origin.TARGET)
        self._keep = len(self.log)
        self.tally.commits += 1
        self._rest.committed()
        self.choices |= self._proposals.choices(commit)
        if self.finished is None:
            self._follow()
            self._acknowledge()
            self._flush()

    def _grow(self, tokens: Sequence[int], origin: Origin) -> None:
        for token in tokens:
            self._show.settle(len(self.log), token, origin)
            self.log.append(token)
        self._hash.append(tokens)
        if origin is Origin.DRAFT:
            self.tally.by_draft += len(tokens)
        else:
            self.tally.by_target += len(tokens)

    def _follow(self) -> None:
        """Walk the tree along the log; where they part, draft anew from the log's end."""
        tree, depth = self._tree, self._tree.depths[self._tree.pointer]
        stays = tree.follow(self.log)
        left = not stays and bool(tree.children[tree.pointer])
        self._tempo.compared(hits=tree.depths[tree.pointer] - depth, misses=int(left))
        if stays:
            ahead = frozenset(self._tree.ahead)
            self._unsent = [n for n in self._unsent if n in ahead]
            while self._holds and self._tree.position(self._holds[0]) < len(self.log):
                self._holds.popleft()
        else:
            self._plant()
        if self._show.confirm(len(self.log)):
            self.tally.rollbacks += 1
        self._publish()

    def _plant(self) -> None:
        if self.request.patience_ms is not None:
            self._rest.ended(self.tally.proposals, self.tally.by_draft)
        self._tree = DraftTree(self.log)
        self._begin = True
        self._unsent = []
        self._holds.clear()
        self._products = {0: 1.0}
        self._proposals.replanted()

    def _acknowledge(self) -> None:
        finite = self.request.patience_ms is not None
        if finite and (len(self.log) - self._acked) * 4 >= self.request.run_ahead:
            self._outbox.words.append(Ack(length=len(self.log)))
            self._acked = len(self.log)

    # ---- drafting

    def job(self) -> Job | None:
        """What the draft should do now; None while it would only run too far ahead."""
        if not self._drafting or self._resting() or self.finished is not None:
            return None
        shape = self._policy.shape
        window = self._window()
        if len(self._tree.ahead) >= window * shape.width:
            return None
        leaves = [n for n in self._tree.leaves if self._may_expand(n, window)]
        if not leaves:
            return None
        scores = self._tree.scores
        leaves.sort(key=lambda n: -scores[n])
        chosen = tuple(self._tree.leaf(n) for n in leaves[: shape.branches])
        return Job(self.log if self._begin else None, self._tree.anchor(), chosen, self._detail)

    def _resting(self) -> bool:
        """Where the cloud waits for proposals a draft never rests."""
        return self.request.patience_ms is not None and self._rest.resting

    def _may_expand(self, node: int, window: int) -> bool:
        child = self._tree.position(node) + 1
        prompts_last = node == 0 and self._tree.at == len(self.request.log)
        if self._tree.tokens[node] in self._ends and not prompts_last:
            return False
        return child < self.request.max_length and child - len(self.log) < window

    def _window(self) -> int:
        if self._unverified():
            return self._policy.unverified_tokens
        return self._tempo.window(self._policy.shape)

    def _unverified(self) -> bool:
        """Big-Little without a cloud: write on, marked as such."""
        return self._policy.fallback is not None and self._away

    def drafted(self, job: Job, expansions: Sequence[Expansion], elapsed_s: float) -> None:
        """The job is done, in so much time: grow the tree, and send what is ripe."""
        if not self._begin:
            self._tempo.drafted(elapsed_s)
        self._begin = False
        for leaf, expansion in zip(job.leaves, expansions, strict=True):
            self._tree.expanded(leaf.node)
            self._extend(leaf.node, expansion)
        self.tally.drafted += len(job.leaves)
        self._publish()
        self._flush()

    def stop_drafting(self) -> None:
        """The draft failed or is out of context; the cloud writes the rest by itself."""
        self._drafting = False
        self._flush()

    def _extend(self, leaf: int, expansion: Expansion) -> None:
        first = len(self._tree) + 1
        for candidate in expansion.candidates:
            node = self._tree.add(leaf, candidate.token, candidate.probability)
            self._unsent.append(node)
            self._proposals.note(node, expansion.top)
        fallback = self._policy.fallback
        if fallback is None:
            return
        product = self._products[leaf]
        unsure = fallback.confidence(expansion, product) < fallback.threshold
        if unsure and not self._unverified():
            self._holds.append(first)
        self._products[first] = 1.0 if unsure else product * expansion.candidates[0].probability

    def _publish(self) -> None:
        """Show the text up to where the draft was sure; all of it while the cloud is away."""
        if self._policy.fallback is None:
            return
        nodes = self._tree.path(self._tree.tip(), len(self.log))
        if self._unverified():
            self._show.extend([self._tree.tokens[n] for n in nodes], Origin.UNVERIFIED)
        else:
            sure = [self._tree.tokens[n] for n in nodes if not self._held(n)]
            self._show.extend(sure, Origin.PROVISIONAL)

    def _held(self, node: int) -> bool:
        return bool(self._holds) and node >= self._holds[0]

    # ---- proposing

    def _flush(self) -> None:
        """Send what is ripe: a full span, the text before an unsure token, or all there is."""
        if not self._online or self.finished is not None:
            return
        ready = [n for n in self._unsent if not self._held(n)]
        blocked = bool(self._holds) or self.job() is None
        if ready and (len(ready) >= self._tempo.span(self._policy.shape) or blocked):
            self._send(ready)
        elif not ready and blocked and not self._outstanding():
            self._ask()

    def _send(self, ready: list[int]) -> None:
        self._propose(self._proposals.send(self._tree, ready, len(self.log)))
        sent = [n for n in ready if n in self._proposals]
        self._unsent = self._unsent[len(sent) :]
        self.tally.proposed += len(sent)
        if sent:
            self._products[sent[-1]] = 1.0  # the next span begins

    def _outstanding(self) -> bool:
        """Is the cloud about to say something of its own accord?"""
        if self.request.patience_ms is not None or len(self.log) == len(self.request.log):
            return True  # it decodes by itself; the first token comes with the prompt's own pass
        return self._proposals.outstanding(self._tree, len(self.log))

    def _ask(self) -> None:
        """Let the cloud decode one token by itself."""
        self._propose([self._proposals.ask(self._tree, len(self.log))])

    def _propose(self, words: Sequence[Propose]) -> None:
        self._outbox.words += words
        self.tally.proposals += len(words)
        if any(word.at for word in words):  # a new epoch says how far the log is known
            self._acked = len(self.log)

    # ---- out

    @property
    def tail(self) -> Sequence[int]:
        """Shown tokens past the log that nobody judged yet (Big-Little)."""
        return self._show.tail

    @property
    def away(self) -> bool:
        """The cloud is out of reach and the loop goes on without it, or waits."""
        return self._away

    def words(self) -> list[DeviceWord]:
        """What to tell the cloud now; told once."""
        return self._outbox.take()

    def events(self) -> list[Event]:
        """What the reader may see now; told once."""
        return self._show.take()
