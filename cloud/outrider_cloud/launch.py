"""From settings to a serving process: bind, load, serve."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from outrider_cloud.address import Address
from outrider_cloud.config import ServeConfig
from outrider_cloud.errors import ConfigError
from outrider_cloud.port import bind
from outrider_cloud.recorder import Recorder
from outrider_cloud.records.record import Versions
from outrider_cloud.records.shards import Store, StoreError
from outrider_cloud.records.writer import Rotation
from outrider_cloud.server import Server, serve
from outrider_cloud.verifier import Verifier, VerifierSettings
from outrider_protos.v1 import outrider_pb2


@dataclass(frozen=True, slots=True)
class Serving:
    """What is announced once calls are answered."""

    target_id: str
    address: Address


def launch(config: ServeConfig, ready: Callable[[Serving], None]) -> None:
    """Serve until told to stop. Raises ConfigError, TargetError or EngineError."""
    with asyncio.Runner() as runner:
        # The port comes first: if it fails, it does so at once. Importing torch takes seconds and
        # loading may take minutes; outside the loop, signals end them as they end any program.
        port = runner.run(bind(config))
        from outrider_cloud.loading import load

        engine, description = load(config)
        recorder = _recorder(config, description)
        verifier = Verifier(
            engine.limits,
            VerifierSettings(max_sessions=config.max_sessions, max_streams=config.max_streams),
        )

        async def run() -> None:
            server = Server(port, verifier, engine, description, recorder)
            serving = Serving(description.target_id, server.address)
            await serve(server, config.drain_grace_s, lambda: ready(serving))

        try:
            runner.run(run())
        finally:
            if recorder is not None:
                recorder.stop()


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
