"""A device: one draft in memory, one way to the cloud, and the sessions that share them.

It checks once that draft and target mean the same by a token id, and hands out sessions. It decodes
nothing itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from outrider_edge.client import Address, CloudClient, Network
from outrider_edge.draft import Draft
from outrider_edge.drafts import DraftFile, Drafts
from outrider_edge.errors import BadInput, BadModelFile, BadSettings, Busy, LocalOnly, ModelMismatch
from outrider_edge.ledger import Ledger, Meter
from outrider_edge.llama.context import ContextSettings
from outrider_edge.llama.model import Model
from outrider_edge.options import Mode, Options
from outrider_edge.session import Drafting, Session, Workshop
from outrider_edge.template import ChatTemplate
from outrider_edge.tempo import Tempo
from outrider_edge.voice import Voice
from outrider_edge.worker import Worker
from outrider_protos.fingerprint import fingerprint
from outrider_protos.limits import PROTOCOL_VERSION
from outrider_protos.v1 import outrider_pb2 as pb

MAX_SESSIONS = 32
MAX_THREADS = 512  # llama.cpp knows no more
DESCRIBE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """What a device is made of."""

    draft: Path
    adapter: Path | None = None  # a LoRA over the draft
    cloud: Address | None = None
    local_only: bool = False
    threads: int = 1
    context_tokens: int | None = None  # of the draft; None: what it was trained for
    ledger: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MAX_THREADS:
            raise BadSettings(f"threads is {self.threads}, not 1 to {MAX_THREADS}")


class Device:
    """Loads the draft at once; speaks to the cloud when the first session needs it."""

    def __init__(self, settings: DeviceSettings) -> None:
        self.settings = settings
        self.meter = Meter()
        self.ledger = Ledger(settings.ledger)
        self.model = Model(settings.draft)  # whose vocabulary speaks, whichever file drafts
        self._worker = Worker()
        self._drafts = Drafts(DraftFile(self.model), self._worker)
        self._network: Network | None = None
        self._client: CloudClient | None = None
        self._description: pb.Description | None = None
        self._sessions = 0
        self._closed = False
        if settings.adapter is not None:
            self._begin_under(settings.adapter)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def session(self, options: Options = Options(), *, draft: Draft | None = None) -> Session:
        """A new conversation. The first one that needs the cloud asks it what its target is.

        `draft` proposes in place of the GGUF model. Raises CloudUnavailable, CloudRefused,
        ModelMismatch, LocalOnly, Busy, Cancelled (the device was closed).
        """
        self._worker.check_open()
        if self._sessions >= MAX_SESSIONS:
            raise Busy(f"the device already has {MAX_SESSIONS} sessions: close those that are done")
        local = options.mode is Mode.LOCAL
        client = None if local else self._dial_tone()
        meter = Meter(self.meter)
        voice = self._local_voice() if local else self._shared_voice(self.describe())
        context_tokens = self._context_tokens(local=local)
        drafting, leave = self._drafting(options, draft)
        self._sessions += 1
        workshop = Workshop(
            worker=self._worker,
            voice=voice,
            drafting=drafting,
            dialer=client.dialer(meter) if client is not None else None,
            meter=meter,
            ledger=self.ledger,
            context_tokens=context_tokens,
        )
        return Session(workshop, options, on_close=leave)

    def swap_draft(self, path: Path) -> None:
        """Draft with another file from the next answer of every session on. No answer changes.

        Raises BadModelFile or ModelMismatch (another tokenizer), and goes on with the current one.
        """
        self._worker.check_open()
        self._drafts.swap(path)

    def adapt_draft(self, path: Path | None) -> None:
        """Lay a LoRA adapter over the draft in use from the next answer of every session on, in
        place of another one there; None takes it off. The draft is not loaded anew.

        Raises BadModelFile, and goes on with what there was.
        """
        self._worker.check_open()
        self._drafts.adapt(path)

    def describe(self) -> pb.Description:
        """What the cloud's target is; asked once. Raises CloudUnavailable, ModelMismatch, ..."""
        self._worker.check_open()
        if self._description is None:
            description = self._dial_tone().describe(DESCRIBE_TIMEOUT_S)
            self._check(description)
            self._description = description
        return self._description

    def close(self) -> None:
        """End all sessions and free the draft. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._worker.close()
        self._drafts.close()
        if self._client is not None:
            self._client.close()
        if self._network is not None:
            self._network.close()

    def _begin_under(self, adapter: Path) -> None:
        try:
            self._drafts.adapt(adapter)
        except BadModelFile:
            self.close()
            raise

    def _dial_tone(self) -> CloudClient:
        address = self.settings.cloud
        if address is None:
            raise LocalOnly("no cloud is named: only local mode can answer")
        if self._client is None:
            self._network = self._network or Network()
            self._client = CloudClient(
                self._network, address, self.meter, local_only=self.settings.local_only
            )
        return self._client

    def _drafting(
        self, options: Options, own: Draft | None
    ) -> tuple[Callable[[], Drafting], Callable[[], None]]:
        """What drafts for a session, and what to do when it is closed."""
        if own is not None or options.mode is Mode.CLOUD:
            fixed = Drafting(own, Tempo() if own is not None else self._drafts.current.tempo)
            return lambda: fixed, self._forget
        seat = self._drafts.seat(
            ContextSettings(
                tokens=self.settings.context_tokens,
                branches=options.shape.branches,
                threads=self.settings.threads,
            )
        )
        seat.sit()  # what is wrong with it is said now

        def drafting() -> Drafting:
            file, draft = seat.sit()
            return Drafting(draft, file.tempo, file.id if options.consent else None)

        def leave() -> None:
            self._forget()
            if not self._closed:
                self._drafts.leave(seat)

        return drafting, leave

    def _forget(self) -> None:
        self._sessions -= 1

    def _context_tokens(self, *, local: bool) -> int:
        if not local:
            return self.describe().max_context_tokens
        return min(
            self.settings.context_tokens or self.model.context_tokens, self.model.context_tokens
        )

    # ---- the vocabulary both sides must share

    def _check(self, description: pb.Description) -> None:
        if description.protocol_version != PROTOCOL_VERSION:
            raise ModelMismatch(
                f"the cloud speaks version {description.protocol_version} of the protocol, "
                f"this device {PROTOCOL_VERSION}"
            )
        if description.tokenizer_fingerprint != fingerprint(self.model.header.tokenizer()):
            raise ModelMismatch(
                f"{self.model.header.name} and the target {description.target_id} "
                "have different vocabularies: a draft must share its target's tokenizer"
            )
        for probe in description.probes:
            ids = self.model.vocabulary.tokenize(probe.text, parse_special=True, add_special=False)
            if ids != list(probe.ids):
                raise ModelMismatch(
                    f"{self.model.header.name} splits text into other tokens than the target "
                    f"{description.target_id} does"
                )

    def _shared_voice(self, description: pb.Description) -> Voice:
        template = _template(
            lambda: ChatTemplate(
                description.chat_template,
                bos_text=description.bos_text,
                eos_text=description.eos_text,
            )
        )
        return Voice(self.model.vocabulary, template, frozenset(description.end_ids))

    def _local_voice(self) -> Voice:
        vocabulary = self.model.vocabulary
        template = _template(
            lambda: ChatTemplate(
                self.model.chat_template or "",
                bos_text=_text(vocabulary.text, vocabulary.begin_id),
                eos_text=_text(vocabulary.text, vocabulary.end_id),
            )
        )
        return Voice(vocabulary, template, vocabulary.end_ids)


def _template(make: Callable[[], ChatTemplate]) -> ChatTemplate | None:
    """No template is no error until somebody wants to converse."""
    try:
        return make()
    except BadInput:
        return None


def _text(text: Callable[[int], str], token: int | None) -> str:
    return "" if token is None else text(token)
