"""A cloud of which nothing is asked but the state of its fleet, and ways for it to say nothing."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from outrider_edge.client import Address
from outrider_protos.v1 import drafts_pb2 as pb


@dataclass
class FleetCloud:
    """Says that these releases are halted, by line and number, and one that is not; or refuses."""

    halted: tuple[tuple[str, int], ...] = ()
    refusal: grpc.StatusCode | None = None

    def show(self, request: bytes, context: grpc.ServicerContext) -> pb.Fleet:
        if self.refusal is not None:
            context.abort(self.refusal, "no")
        found = [
            pb.ReleaseStanding(line=line, release=number, halted="it does worse")
            for line, number in self.halted
        ]
        return pb.Fleet(releases=[pb.ReleaseStanding(line="demo", release=90), *found])


@contextmanager
def served(cloud: FleetCloud | None) -> Iterator[Address]:
    """None: a cloud that serves no releases."""
    server = grpc.server(ThreadPoolExecutor(2))
    if cloud is not None:
        told = pb.Fleet.SerializeToString
        handlers: dict[str, Any] = {
            "ShowFleet": grpc.unary_unary_rpc_method_handler(cloud.show, response_serializer=told)
        }
        server.add_registered_method_handlers("outrider.v1.DraftChannel", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Address(target=f"127.0.0.1:{port}")
    finally:
        server.stop(None).wait(10)


@contextmanager
def nobody() -> Iterator[Address]:
    """Where no cloud answers, nor will meanwhile."""
    with closing(socket.socket()) as place:
        place.bind(("127.0.0.1", 0))
        yield Address(target=f"127.0.0.1:{place.getsockname()[1]}")
