"""From settings to a serving process: bind, load, serve."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from outrider_cloud.address import Address
from outrider_cloud.config import ServeConfig
from outrider_cloud.port import bind
from outrider_cloud.server import Server, serve
from outrider_cloud.verifier import Verifier, VerifierSettings


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
        verifier = Verifier(
            engine.limits,
            VerifierSettings(max_sessions=config.max_sessions, max_streams=config.max_streams),
        )

        async def run() -> None:
            server = Server(port, verifier, engine, description)
            serving = Serving(description.target_id, server.address)
            await serve(server, config.drain_grace_s, lambda: ready(serving))

        runner.run(run())
