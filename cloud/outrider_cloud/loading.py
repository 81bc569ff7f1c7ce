"""The engine and the description of the target that the settings name."""

import logging
import sys

from transformers.utils import logging as transformers_logging

from outrider_cloud.config import ServeConfig
from outrider_cloud.describe import describe
from outrider_cloud.shipped import resolve
from outrider_cloud.target import check_place, load_target, public_name
from outrider_cloud.tokenizer import load_tokenizer, tokenizer_facts
from outrider_cloud.transformers_engine.engine import (
    CPU_PAGE_TOKENS,
    CUDA_PAGE_TOKENS,
    TransformersEngine,
)
from outrider_protos.v1 import outrider_pb2

_LOG = logging.getLogger(__name__)


def load(config: ServeConfig) -> tuple[TransformersEngine, outrider_pb2.Description]:
    """Raises TargetError or EngineError."""
    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()
    name = resolve(config.target)
    check_place(name, config.device)
    tokenizer = load_tokenizer(name)
    target = load_target(name, device=config.device)
    engine = TransformersEngine(target, pages=_pages(config), threads=config.threads)
    facts = tokenizer_facts(tokenizer)
    description = describe(public_name(name), tokenizer, facts, engine.limits)
    del target  # so that packing the weights can free the plain ones layer by layer
    engine.warm()
    _LOG.info(
        "event=loaded target=%s device=%s kv_tokens=%d context_tokens=%d",
        description.target_id,
        config.device,
        engine.limits.pages * engine.limits.page_tokens,
        description.max_context_tokens,
    )
    return engine, description


def _pages(config: ServeConfig) -> int | None:
    if config.kv_tokens is None:
        return None
    page_tokens = CUDA_PAGE_TOKENS if config.device == "cuda" else CPU_PAGE_TOKENS
    return -(-config.kv_tokens // page_tokens)
