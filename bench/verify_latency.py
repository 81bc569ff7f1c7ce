"""Verify latency of a large target on a GPU, as a fraction of reading its weights once.

Random weights in bfloat16 in the shape of an 8 B Llama; 1, 8 and 32 sessions with a context each,
8 tokens of every session judged in one forward of the product's engine. Reading all weights once at
the card's bandwidth is the least a forward can take; the bandwidth is measured by copying. Needs
CUDA and about 40 GB:

    python -m bench.verify_latency --output docs/results/verify-latency.md
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bench.report import Report
from outrider_cloud.engine import Work
from outrider_cloud.target import Target, make_target
from outrider_cloud.transformers_engine.engine import TransformersEngine

_SESSIONS = (1, 8, 32)
_NODES = 7  # and the log's last token: 8 rows
_COPY_BYTES = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """One number of sessions."""

    sessions: int
    chain_s: float
    tree_s: float


def eight_billion() -> LlamaForCausalLM:
    """Random weights; nothing is loaded."""
    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=8192,
    )
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = LlamaForCausalLM(config)
        torch.set_default_dtype(torch.float32)
    return model


def bandwidth_bytes_per_s() -> float:
    """Bytes read and written a second by a large copy on the device, the best of some."""
    source = torch.empty(_COPY_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    seconds = min(_timed(lambda: target.copy_(source)) for _ in range(10))
    return 2 * _COPY_BYTES / seconds


def measure(target: Target, context: int, repeats: int) -> list[Latency]:
    """Medians, by numbers of sessions."""
    engine = TransformersEngine(target)
    latencies = []
    for sessions in _SESSIONS:
        for session in range(sessions):
            engine.forward([_work(session, 0, context, ())])
        chain, tree = tuple(range(_NODES)), tuple((node + 1) // 2 for node in range(_NODES))
        latencies.append(
            Latency(
                sessions=sessions,
                chain_s=_judge_s(engine, sessions, context, chain, repeats),
                tree_s=_judge_s(engine, sessions, context, tree, repeats),
            )
        )
        for session in range(sessions):
            engine.release(session)
    return latencies


def _judge_s(
    engine: TransformersEngine, sessions: int, context: int, parents: Sequence[int], repeats: int
) -> float:
    batch = [_work(session, context, 1, parents) for session in range(sessions)]
    _timed(lambda: engine.forward(batch))  # kernels are chosen
    return median(_timed(lambda: engine.forward(batch)) for _ in range(repeats))


def _work(session: int, past: int, fed: int, parents: Sequence[int]) -> Work:
    tokens = range(1000 + session, 1000 + session + fed)
    nodes = tuple(range(5000, 5000 + len(parents)))
    return Work(
        session=session, past=past, prefix=tuple(tokens), nodes=nodes, parents=tuple(parents)
    )


def _timed(run: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    begun = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description="Verify latency of an 8 B target on a GPU.")
    parser.add_argument("--context", type=int, default=1024, help="tokens before what is judged")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--output", type=Path, help="a markdown file; else standard output")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("this measurement needs a CUDA device, and there is none")
    bandwidth = bandwidth_bytes_per_s()
    target = make_target(eight_billion())
    weights = sum(weight.numel() * weight.element_size() for weight in target.model.parameters())
    read_s = weights / bandwidth
    report = Report("Verify latency of an 8 B target", sys.argv)
    report.say(
        f"{torch.cuda.get_device_name()}: {bandwidth / 1e9:.0f} GB/s measured by copying; "
        f"{weights / 1e9:.1f} GB of bfloat16 weights, read once in {1000 * read_s:.2f} ms. "
        f"Sessions with {arguments.context} tokens of context each; {_NODES + 1} tokens of each "
        f"judged in one forward, choices and their transfer included. Median of "
        f"{arguments.repeats}."
    )
    report.table(
        ("sessions", "tokens", "chain ms", "chain / read", "tree ms", "tree / read"),
        [
            _row(latency, read_s)
            for latency in measure(target, arguments.context, arguments.repeats)
        ],
    )
    report.write(arguments.output)


def _row(latency: Latency, read_s: float) -> tuple[str, ...]:
    return (
        str(latency.sessions),
        str(latency.sessions * (_NODES + 1)),
        f"{1000 * latency.chain_s:.2f}",
        f"{latency.chain_s / read_s:.2f}",
        f"{1000 * latency.tree_s:.2f}",
        f"{latency.tree_s / read_s:.2f}",
    )


if __name__ == "__main__":
    main()
