"""From settings to a serving process: bind, load, serve."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version

from outrider_cloud.address import Address
from outrider_cloud.config import ChannelConfig, ReleasesConfig, ServeConfig
from outrider_cloud.errors import ConfigError
from outrider_cloud.metrics import FleetGauges, LoadGauges, Metrics
from outrider_cloud.port import Port, bind
from outrider_cloud.recorder import Recorder
from outrider_cloud.records.record import Versions
from outrider_cloud.records.shards import Store, StoreError
from outrider_cloud.records.writer import Rotation
from outrider_cloud.releases.account import Account
from outrider_cloud.releases.channel import DraftChannelService
from outrider_cloud.releases.fleet import Fleet
from outrider_cloud.releases.folder import RepositoryFolder
from outrider_cloud.server import Server, Service, serve
from outrider_cloud.service import VerifierService
from outrider_cloud.verifier import Verifier, VerifierSettings
from outrider_cloud.worker import Worker
from outrider_protos.v1 import outrider_pb2

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """What is announced once calls are answered."""

    target_id: str
    address: Address


class _Start:
    """What both commands begin with: the port, metrics and the channel of releases.

    The port comes first: if it fails, it does so at once. Importing torch takes seconds and loading
    may take minutes; outside the loop, signals end them as they end any program.
    """

    def __init__(self, config: ChannelConfig, stack: ExitStack) -> None:
        self._config = config
        self.runner = stack.enter_context(asyncio.Runner())
        self._port: Port = self.runner.run(bind(config))
        self.metrics = Metrics(config.metrics) if config.metrics is not None else None
        if self.metrics is not None:
            stack.callback(self.metrics.close)
            _LOG.info("event=metrics address=%s", self.metrics.address)
        self._channel = self._open_channel()

    def serve(self, services: Sequence[Service], ready: Callable[[Address], None]) -> None:
        """Until told to stop."""
        channel = [] if self._channel is None else [self._channel]

        async def run() -> None:
            if self.metrics is not None and self._channel is not None:
                loop = asyncio.get_running_loop()
                self.metrics.show(FleetGauges(self._channel.fleet, loop))
            server = Server(self._port, [*services, *channel])
            await serve(server, self._config.drain_grace_s, lambda: ready(server.address))

        self.runner.run(run())

    def _open_channel(self) -> DraftChannelService | None:
        folder, owners = self._config.releases, self._port.owners
        if folder is None:
            return None
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder} to serve releases from")
        fleet = Fleet(several_owners=owners > 1)
        account = Account(self._config.fleet) if self._config.fleet is not None else None
        for change in account.changes() if account is not None else ():
            fleet.apply(change)
        return DraftChannelService(RepositoryFolder(folder), fleet, account, owners)


def launch(config: ServeConfig, ready: Callable[[Serving], None]) -> None:
    """Serve a target until told to stop. Raises ConfigError, TargetError or EngineError."""
    with ExitStack() as stack:
        start = _Start(config, stack)
        from outrider_cloud.loading import load

        engine, description = load(config)
        recorder = _recorder(config, description)
        if recorder is not None:
            stack.callback(recorder.stop)
        verifier = Verifier(
            engine.limits,
            VerifierSettings(max_sessions=config.max_sessions, max_streams=config.max_streams),
        )
        worker = Worker(verifier, engine, start.runner.get_loop(), recorder)
        service = VerifierService(worker, description)
        if start.metrics is not None:
            start.metrics.show(LoadGauges(service.load_report))
        start.serve([service], lambda address: ready(Serving(description.target_id, address)))


def launch_releases(config: ReleasesConfig, ready: Callable[[Address], None]) -> None:
    """Serve releases alone until told to stop. Raises ConfigError or EngineError."""
    with ExitStack() as stack:
        _Start(config, stack).serve([], ready)


def _recorder(config: ServeConfig, description: outrider_pb2.Description) -> Recorder | None:
    """Already running. Raises ConfigError for a place that cannot be."""
    if config.records is None:
        return None
    packages = ("outrider", "torch", "transformers")
    versions = Versions(
        target=description.target_id,
        tokenizer=description.tokenizer_fingerprint,
        runtime=", ".join(f"{name} {version(name)}" for name in packages),
    )
    try:
        recorder = Recorder(Store(config.records), versions, Rotation(age_s=config.records_every_s))
    except StoreError as error:
        raise ConfigError(str(error)) from error
    recorder.start()
    return recorder
