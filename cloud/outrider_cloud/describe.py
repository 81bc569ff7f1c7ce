"""What a device is told of the target, so that it can tell whether it fits."""

from transformers import PreTrainedTokenizerFast

from outrider_cloud.engine import EngineLimits
from outrider_protos import limits
from outrider_protos.fingerprint import TokenizerFacts, fingerprint, probe_texts, real_tokens
from outrider_protos.v1 import outrider_pb2


def describe(
    target_id: str,
    tokenizer: PreTrainedTokenizerFast,
    facts: TokenizerFacts,
    engine_limits: EngineLimits,
) -> outrider_pb2.Description:
    """`target_id` is shown to people; it is the target's name, not a path of this machine."""
    template = tokenizer.chat_template
    pool_tokens = engine_limits.pages * engine_limits.page_tokens  # all of it for one session
    return outrider_pb2.Description(
        target_id=target_id,
        tokenizer_fingerprint=fingerprint(facts),
        vocab_size=len(real_tokens(facts.tokens)),
        probes=[
            outrider_pb2.Probe(text=text, ids=tokenizer.encode(text, add_special_tokens=False))
            for text in probe_texts()
        ],
        chat_template=template if isinstance(template, str) else "",
        end_ids=sorted(engine_limits.end_ids),
        max_context_tokens=min(engine_limits.context_tokens, pool_tokens),
        protocol_version=limits.PROTOCOL_VERSION,
        max_message_bytes=limits.MAX_MESSAGE_BYTES,
        max_propose_nodes=limits.MAX_PROPOSE_NODES,
        max_run_ahead=limits.MAX_RUN_AHEAD,
        max_append_tokens=limits.MAX_APPEND_TOKENS,
        max_epoch_nodes=limits.MAX_EPOCH_NODES,
        bos_text=tokenizer.bos_token or "",
        eos_text=tokenizer.eos_token or "",
    )
