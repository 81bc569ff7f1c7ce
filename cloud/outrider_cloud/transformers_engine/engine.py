"""The engine on transformers: many sessions' prefixes and proposals in one packed forward.

The model's own code runs, with the attention of `attention.NAME` in the place of its own; KV lives
in a `Pool` that the model never sees. On a CPU everything is float32 by default and this path is
the tested one; on CUDA batches of chains go through torch's paged kernel if it proves itself when
the engine starts, all else through the same code as on the CPU. It knows nothing of logs, streams
or patience.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor
from transformers import PreTrainedModel

from outrider_cloud.engine import EngineLimits, Verdict, Work
from outrider_cloud.errors import EngineError
from outrider_cloud.records.record import Tops
from outrider_cloud.target import Target
from outrider_cloud.transformers_engine import attention, tree
from outrider_cloud.transformers_engine.packed_linear import pack_linears
from outrider_cloud.transformers_engine.paged_kernel import paged_kernel_works
from outrider_cloud.transformers_engine.pages import Pages
from outrider_cloud.transformers_engine.plan import Plan, make_plan
from outrider_cloud.transformers_engine.pool import Pool, pages_that_fit
from outrider_cloud.transformers_engine.rows import judge, top_tokens

CPU_PAGE_TOKENS = 16
CUDA_PAGE_TOKENS = 256  # flash attention 2 reads no smaller pages


@dataclass(frozen=True, slots=True)
class _Held:
    """What the engine has of one session."""

    tokens: int  # whose KV stands
    parents: tuple[int, ...] = ()  # of the last forward's nodes, until `keep`


class TransformersEngine:
    """An `outrider_cloud.engine.Engine`. All calls come from one thread.

    `pages` bounds the KV, by default 2 GiB on a CPU and most of the free memory on CUDA; `threads`
    is how many torch uses for one operation, process-wide, by default its own choice.
    """

    def __init__(
        self, target: Target, *, pages: int | None = None, threads: int | None = None
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._model = _twin(target)
        on_cuda = target.kv.device.type == "cuda"
        page_tokens = CUDA_PAGE_TOKENS if on_cuda else CPU_PAGE_TOKENS
        if pages is None:
            pages = pages_that_fit(target.kv, page_tokens)
        self.limits = EngineLimits(
            pages=pages,
            page_tokens=page_tokens,
            context_tokens=target.context_tokens,
            vocab_size=target.vocab_size,
            end_ids=target.end_ids,
        )
        self._paged_kernel = on_cuda and _suits_paged_kernel(target, page_tokens)
        try:
            self._pool = Pool(target.kv, pages, page_tokens)
        except RuntimeError as error:  # torch's out-of-memory errors, on either device
            raise EngineError("the memory does not hold the KV pool") from error
        self._pages = Pages(pages, page_tokens)
        self._held: dict[int, _Held] = {}
        self._rows: dict[int, Tensor] = {}  # logits of the last forward by session, until the next
        self._kept_rows: list[Tensor] = []

    def warm(self) -> None:
        """One forward that nobody waits for: the first one packs weights and builds kernels."""
        self.forward([Work(session=0, past=0, prefix=(0,))])
        self.release(0)

    def forward(self, batch: Sequence[Work]) -> list[Verdict | None]:
        """See `Engine.forward`. After an EngineError the `past` tokens of each work stand."""
        self._rows = {}
        with torch.inference_mode():
            for work in batch:
                self._admit(work)
            try:
                verdicts = self._run(batch)
            except RuntimeError as error:  # torch: out of memory, a kernel failed
                raise EngineError(f"the forward failed: {type(error).__name__}") from error
        for work in batch:
            self._held[work.session] = _Held(work.past + len(work.prefix), work.parents)
        found = iter(verdicts)
        return [next(found) if work.judge else None for work in batch]

    def keep(self, session: int, nodes: Sequence[int]) -> None:
        """See `Engine.keep`. Raises EngineError unless `nodes` are a path of the last forward."""
        held = self._held.get(session)
        if held is None or not tree.is_path(held.parents, nodes):
            raise EngineError(f"session {session}: no such path to keep")
        kept = held.tokens + len(nodes)
        if nodes and nodes[-1] != len(nodes):
            source = self._slots(session, held.tokens, held.tokens + nodes[-1])
            with torch.inference_mode():
                self._pool.move([source[node - 1] for node in nodes], source[: len(nodes)])
        self._pages.resize(session, kept)
        self._held[session] = _Held(kept)

    def hold(self, session: int, rows: Sequence[int]) -> None:
        """See `Engine.hold`. Raises EngineError if no such rows were judged."""
        judged = self._rows.get(session)
        if judged is None or not all(0 <= row < len(judged) for row in rows):
            raise EngineError(f"session {session}: no such rows were judged")
        with torch.inference_mode():
            # Copies: a view would keep the rows of the whole batch.
            self._kept_rows += [judged[row].clone() for row in rows]

    def tops(self) -> Tops:
        """See `Engine.tops`."""
        rows, self._kept_rows = self._kept_rows, []
        with torch.inference_mode():
            return top_tokens(torch.stack(rows))

    def release(self, session: int) -> None:
        """See `Engine.release`."""
        self._pages.release(session)
        self._held.pop(session, None)

    @property
    def free_pages(self) -> int:
        """Pages no session holds."""
        return self._pages.free

    def _slots(self, session: int, begin: int, end: int) -> list[int]:
        return self._pool.slots(self._pages.lease(session), begin, end)

    def _admit(self, work: Work) -> None:
        """Cut the session to `past` and give it pages for all that the forward will write."""
        held = self._held.get(work.session, _Held(0))
        if work.past > held.tokens or not work.prefix or len(work.parents) != len(work.nodes):
            raise EngineError(f"session {work.session}: the work does not fit what is held")
        moved = self._pages.resize(work.session, work.past + len(work.prefix) + len(work.nodes))
        if moved is not None:
            self._pool.follow(moved)
        self._held[work.session] = _Held(work.past)

    def _run(self, batch: Sequence[Work]) -> list[Verdict]:
        plan = make_plan(batch, self._pages, self._pool, paged_kernel=self._paged_kernel)
        logits = self._logits(plan)
        judged = [work for work in batch if work.judge]
        if not judged:
            return []
        sizes = [1 + len(work.nodes) for work in judged]
        self._rows = dict(
            zip((work.session for work in judged), torch.split(logits, sizes), strict=True)
        )
        return judge(logits, judged)

    def _logits(self, plan: Plan) -> Tensor:
        """[judged rows, vocabulary]; the output layer sees no other row."""
        output = self._model(
            input_ids=plan.tokens(),
            position_ids=plan.positions(),
            use_cache=False,
            logits_to_keep=plan.judged(),
            plan=plan,
        )
        logits: Tensor = output.logits[0]
        return logits


def _twin(target: Target) -> PreTrainedModel:
    """The same weights in a second model, whose attention is ours; the target keeps its own."""
    weights = chain(target.model.parameters(), target.model.buffers())
    model = copy.deepcopy(target.model, {id(weight): weight for weight in weights})
    model.set_attn_implementation(attention.NAME)
    pack_linears(model)
    return model


def _suits_paged_kernel(target: Target, page_tokens: int) -> bool:
    """The kernel cannot cap scores, as Gemma 2 does."""
    capped = getattr(target.model.config, "attn_logit_softcapping", None) is not None
    return not capped and paged_kernel_works(target.kv, target.heads, page_tokens)
