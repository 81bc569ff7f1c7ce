"""Records made up for tests: of any shape, and valid."""

import numpy as np
from hypothesis import strategies as st

from outrider_cloud.records.record import Fate, Record, Tops, Versions
from outrider_protos.words import Distance, Rollback, Sampling

IDS = st.integers(0, 2**31 - 1)
NAMES = st.text(max_size=5)


def tops(positions: int, width: int = 3, seed: int = 0) -> Tops:
    random = np.random.default_rng(seed)
    return Tops(
        random.integers(0, 1000, (positions, width), dtype=np.int32),
        -random.exponential(size=(positions, width)).astype(np.float32),
        random.random(positions, dtype=np.float32),
    )


def record(positions: int = 4, tenant: str = "anna", time_s: float = 1.5) -> Record:
    """Greedy, exact, of the cloud alone."""
    return Record(
        tenant=tenant,
        time_s=time_s,
        versions=Versions(target="tiny", tokenizer=bytes(16), runtime="none"),
        prompt=(1, 2),
        tokens=tuple(range(positions)),
        choices=tuple(range(positions)),
        fates=(Fate.OWN,) * positions,
        tops=tops(positions),
    )


@st.composite
def records(draw: st.DrawFn) -> Record:
    count = draw(st.integers(1, 5))

    def column(each: st.SearchStrategy[int]) -> tuple[int, ...]:
        return tuple(draw(st.lists(each, min_size=count, max_size=count)))

    return Record(
        tenant=draw(NAMES),
        time_s=draw(st.floats(0, 1e10)),
        versions=Versions(
            target=draw(NAMES),
            tokenizer=draw(st.binary(max_size=16)),
            runtime=draw(NAMES),
            draft=draw(st.none() | NAMES),
            template=draw(st.none() | NAMES),
        ),
        prompt=tuple(draw(st.lists(IDS, max_size=4))),
        tokens=column(IDS),
        choices=column(IDS),
        fates=tuple(Fate(n) for n in column(st.integers(0, 2))),
        tops=tops(count, draw(st.integers(1, 4)), draw(st.integers(0, 99))),
        sampling=Sampling(
            temperature=draw(st.floats(0, 2)),
            top_k=draw(st.none() | st.integers(1, 99)),
            top_p=draw(st.none() | st.floats(0.1, 1)),
            seed=draw(st.integers(0, 2**64 - 1)),
        ),
        rollback=draw(
            st.none()
            | st.builds(Rollback, threshold=st.floats(0, 9), distance=st.sampled_from(Distance))
        ),
        fallback=draw(st.none() | st.floats(0, 1)),
        domain=draw(st.none() | NAMES),
    )
