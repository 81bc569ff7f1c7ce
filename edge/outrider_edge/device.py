"""A device: one draft in memory, one way to the cloud, and the sessions that share them.

It checks once that draft and target mean the same by a token id, and hands out sessions. It decodes
nothing itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from outrider_edge.client import Address, CloudClient, Network
from outrider_edge.draft import Draft
from outrider_edge.drafts import DraftFile, Drafts
from outrider_edge.errors import (
    BadModelFile,
    BadSettings,
    Busy,
    LocalOnly,
)
from outrider_edge.fit import check_fit, local_voice, shared_voice
from outrider_edge.installed import Chosen, Installed
from outrider_edge.ledger import Ledger, Meter
from outrider_edge.llama.adapter import Adapter
from outrider_edge.llama.context import ContextSettings
from outrider_edge.llama.model import Model
from outrider_edge.options import Mode, Options
from outrider_edge.releases.settings import Following, UpdateSettings
from outrider_edge.session import Drafting, Session, Workshop
from outrider_edge.tempo import Tempo
from outrider_edge.worker import Worker
from outrider_protos.v1 import outrider_pb2 as pb

if TYPE_CHECKING:
    from outrider_edge.updates import Updates

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
    following: Following | None = None  # releases; `draft` is then what there is without any

    def __post_init__(self) -> None:
        if self.following is not None and self.adapter is not None:
            raise BadSettings("an adapter of your own and a release channel do not go together")
        if not 1 <= self.threads <= MAX_THREADS:
            raise BadSettings(f"threads is {self.threads}, not 1 to {MAX_THREADS}")


class Device:
    """Loads the draft at once; speaks to the cloud when the first session needs it."""

    def __init__(self, settings: DeviceSettings) -> None:
        self.settings = settings
        self.meter = Meter()
        self.ledger = Ledger(settings.ledger)
        self._installed = _installed(settings)
        # Whose vocabulary speaks, whichever file drafts.
        first = (
            Chosen("", Model(settings.draft), settings.adapter)
            if self._installed is None
            else self._installed.first()
        )
        self.model = first.model
        self._worker = Worker()
        self._drafts = Drafts(self._made(first), self._worker)
        self._network: Network | None = None
        self._client: CloudClient | None = None
        self._description: pb.Description | None = None
        self._sessions = 0
        self._updates: Updates | None = None
        self._closed = False

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
        voice = local_voice(self.model) if local else shared_voice(self.model, self.describe())
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

    def follow_releases(self, told: Callable[[str], None]) -> None:
        """Look for releases of the draft in the background, until the device is closed.

        Does nothing for a device that follows none. `told` hears of what happens, from a thread.
        """
        settings = self.settings
        following = settings.following
        if following is None or following.every_s <= 0 or self._updates is not None:
            return
        from outrider_edge.updates import Updates  # signatures take a while to import

        updating = UpdateSettings(
            following=following,
            factory=settings.draft,
            cloud=settings.cloud,
            local_only=settings.local_only,
            threads=settings.threads,
        )
        self._updates = Updates(updating, Meter(self.meter), self.ledger)
        self._updates.start(told)

    def describe(self) -> pb.Description:
        """What the cloud's target is; asked once. Raises CloudUnavailable, ModelMismatch, ..."""
        self._worker.check_open()
        if self._description is None:
            description = self._dial_tone().describe(DESCRIBE_TIMEOUT_S)
            check_fit(self.model, description)
            self._description = description
        return self._description

    def close(self) -> None:
        """End all sessions and free the draft. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        if self._updates is not None:
            self._updates.close()
        self._worker.close()
        self._drafts.close()
        if self._client is not None:
            self._client.close()
        if self._network is not None:
            self._network.close()

    def _made(self, first: Chosen) -> DraftFile:
        """An installed adapter that is damaged stops nothing: the model drafts without it."""
        if first.adapter is None:
            return DraftFile(first.model, name=first.name)
        path = first.adapter
        try:
            adapter = self._worker.run(lambda: Adapter(first.model, path))
        except BadModelFile:
            if self._installed is not None:
                return DraftFile(first.model)
            self._worker.close()
            first.model.close()
            raise
        return DraftFile(first.model, adapter, first.name)

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
            ),
            # Where the draft has a say in the text, only one that is known to be good writes it.
            writes=self._installed is not None and options.mode is not Mode.EXACT,
        )
        installed = self._installed
        if installed is None:
            seat.sit()  # what is wrong with it is said now

        def drafting() -> Drafting:
            if installed is not None:
                return installed.drafting(self._drafts, seat, options)
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


def _installed(settings: DeviceSettings) -> Installed | None:
    following = settings.following
    return None if following is None else Installed(following, settings.draft)
