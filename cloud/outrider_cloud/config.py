"""The settings of `outrider-cloud serve`. Where they come from is `outrider_protos.settings`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from outrider_cloud.address import Address


def _listenable(text: str) -> str:
    Address.parse(text)
    return text


class ServeConfig(BaseModel):
    """Flat, one key a setting, so that a file, the environment and flags can say the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str = Field(min_length=1)
    device: Literal["cpu", "cuda"] = "cpu"
    listen: Annotated[str, AfterValidator(_listenable)] = "127.0.0.1:50051"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None
    threads: int | None = Field(default=None, ge=1, le=1024)  # None: what torch thinks best
    kv_tokens: int | None = Field(default=None, ge=32)  # None: what the memory allows
    max_streams: int = Field(default=256, ge=1)
    max_sessions: int = Field(default=1024, ge=1)
    records: str | None = None  # folder or URL of shards; None: nothing is recorded
    records_every_s: float = Field(default=600.0, gt=0, le=86_400)  # a shard is written so often
    drain_grace_s: float = Field(default=10.0, ge=0, le=86_400)
