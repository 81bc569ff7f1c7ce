"""A real cloud server around a script: gRPC, verifier and worker are the product's, the engine not.

    python -m bench.script_cloud --length 400 --step-ms 20 --row-ms 0.5

Prints its address as JSON and serves until SIGTERM.
"""

import argparse
import asyncio
import json

from bench.script import Script, ScriptEngine
from outrider_cloud.config import ServeConfig
from outrider_cloud.port import bind
from outrider_cloud.server import Server, serve
from outrider_cloud.service import VerifierService
from outrider_cloud.verifier import Verifier, VerifierSettings
from outrider_cloud.worker import Worker
from outrider_protos.v1 import outrider_pb2


async def run(engine: ScriptEngine) -> None:
    """Serve on a free loopback port."""
    port = await bind(ServeConfig(target="script", listen="127.0.0.1:0"))
    verifier = Verifier(engine.limits, VerifierSettings())
    worker = Worker(verifier, engine, asyncio.get_running_loop())
    server = Server(port, [VerifierService(worker, outrider_pb2.Description())])

    def announce() -> None:
        print(json.dumps({"address": str(server.address)}), flush=True)

    await serve(server, 1.0, announce)


def main() -> None:
    parser = argparse.ArgumentParser(description="A cloud that writes a script.")
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--step-ms", type=float, required=True)
    parser.add_argument("--row-ms", type=float, required=True)
    arguments = parser.parse_args()
    script = Script(length=arguments.length)
    engine = ScriptEngine(script, arguments.step_ms / 1000, arguments.row_ms / 1000)
    asyncio.run(run(engine))


if __name__ == "__main__":
    main()
