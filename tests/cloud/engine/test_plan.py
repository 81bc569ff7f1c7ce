"""The block table that paged kernels read leads to the KV that slices and gathers lead to."""

import torch

from outrider_cloud.engine import Work
from outrider_cloud.transformers_engine.paged_kernel import paged_kernel_works
from outrider_cloud.transformers_engine.pages import Pages
from outrider_cloud.transformers_engine.plan import make_plan
from outrider_cloud.transformers_engine.pool import KvShape, Pool

SHAPE = KvShape(layers=2, heads=2, head_size=4, dtype=torch.float32, device=torch.device("cpu"))
CHAINS = [
    Work(session=1, past=3, prefix=(5, 6), nodes=(7,), parents=(0,)),
    Work(session=2, past=0, prefix=tuple(range(9))),
]


def filled() -> tuple[Pages, Pool]:
    """Session 1 has neighbouring pages, session 2 scattered ones."""
    pages = Pages(5, 4)
    pages.resize(2, 4)
    pages.resize(1, 6)
    pages.resize(2, 9)
    pool = Pool(SHAPE, 5, 4)
    random = torch.randn(20, 2, 4, generator=torch.Generator().manual_seed(1))
    for layer in range(2):
        pool.write(layer, random + layer, random - layer, torch.arange(20))
    return pages, pool


def test_pages_of_the_table_hold_what_the_session_reads() -> None:
    pages, pool = filled()
    plan = make_plan(CHAINS, pages, pool, paged_kernel=True)
    plain = make_plan(CHAINS, pages, pool, paged_kernel=False)
    assert plan.blocks is not None
    assert plain.blocks is None
    assert [pages.lease(each).contiguous for each in (1, 2)] == [True, False]
    assert plan.blocks.row_bounds.tolist() == [0, 3, 12]
    assert plan.blocks.lengths.tolist() == [6, 9]
    assert (plan.blocks.most_rows, plan.blocks.most_tokens) == (9, 9)
    for layer in range(2):
        keys, values = pool.paged(layer)
        for span, table, length in zip(plain.spans, plan.blocks.pages, (6, 9), strict=True):
            for paged, read in zip((keys, values), span.read(layer), strict=True):
                assert torch.equal(paged[table].flatten(0, 1)[:length], read[0].transpose(0, 1))


def test_a_tree_is_never_given_to_a_kernel_that_knows_chains_alone() -> None:
    pages, pool = filled()
    tree = Work(session=1, past=3, prefix=(5,), nodes=(7, 8), parents=(0, 0))
    assert make_plan([tree, CHAINS[1]], pages, pool, paged_kernel=True).blocks is None


def test_a_device_without_the_kernel_is_found_out() -> None:
    assert not paged_kernel_works(SHAPE, 4, 16)
