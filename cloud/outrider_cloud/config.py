"""The settings of the commands that serve. Where they come from is `outrider_protos.settings`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from outrider_cloud.address import Address
from outrider_cloud.releases.places import MOST_FETCHES, MOST_WATCHERS


def _listenable(text: str) -> str:
    Address.parse(text)
    return text


Listenable = Annotated[str, AfterValidator(_listenable)]


class ChannelConfig(BaseModel):
    """Where to serve whom, and the channel of releases, which may be served alone.

    Flat, one key a setting, so that a file, the environment and flags can say the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: Listenable = "127.0.0.1:50051"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None
    releases: Path | None = None  # folder of a TUF repository; None: no channel
    fleet: Path | None = None  # where the fleet's account is kept; None: until the end
    metrics: Listenable | None = None  # loopback; None: nowhere
    drain_grace_s: float = Field(default=10.0, ge=0, le=86_400)

    @model_validator(mode="after")
    def _fleet_needs_releases(self) -> Self:
        if self.fleet is not None and self.releases is None:
            raise ValueError("--fleet keeps what is heard of --releases, which is not given")
        return self

    @property
    def calls(self) -> int:
        """At once, of those that last."""
        return 0 if self.releases is None else MOST_FETCHES + MOST_WATCHERS


class ReleasesConfig(ChannelConfig):
    """Of `outrider-cloud releases`."""

    releases: Path


class ServeConfig(ChannelConfig):
    """Of `outrider-cloud serve`."""

    target: str = Field(min_length=1)
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int | None = Field(default=None, ge=1, le=1024)  # None: what torch thinks best
    kv_tokens: int | None = Field(default=None, ge=32)  # None: what the memory allows
    max_streams: int = Field(default=256, ge=1)
    max_sessions: int = Field(default=1024, ge=1)
    records: str | None = None  # folder or URL of shards; None: nothing is recorded
    records_every_s: float = Field(default=600.0, gt=0, le=86_400)  # a shard is written so often

    @property
    def calls(self) -> int:
        return super().calls + self.max_streams
