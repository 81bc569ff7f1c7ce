"""The settings of the command `outrider`, and what a device is made of by them.

Default < file < environment < flag; how they are read is `outrider_protos.settings`. The defaults
of decoding are those of `Options`, said once there.
"""

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    model_validator,
)

from outrider_edge.client import Address
from outrider_edge.device import DeviceSettings
from outrider_edge.errors import BadSettings
from outrider_edge.options import Mode, Options
from outrider_edge.policy import Fallback, Shape, Signal
from outrider_edge.releases.holds import Metered
from outrider_edge.releases.settings import Following, UpdateSettings
from outrider_protos import settings
from outrider_protos.limits import MAX_PATIENCE_MS, MAX_SEED, MIN_TEMPERATURE
from outrider_protos.release import LineName
from outrider_protos.words import Distance, Rollback

ENVIRONMENT_PREFIX = "OUTRIDER_"
_CLOUDS_OWN_PREFIX = "OUTRIDER_CLOUD_"  # settings of the other command
SHIPPED_DRAFT = Path(str(files("outrider_edge"))) / "models" / "demo-draft.gguf"
DEFAULT_CLOUD = "127.0.0.1:50051"
MAX_RECENT = 4096
_MAX_TOKEN_BYTES = 4096
_DEFAULT = Options()


def _within_home(variable: str, otherwise: str) -> Path:
    """A folder of the XDG base directory specification."""
    return Path(os.environ.get(variable) or Path.home() / otherwise) / "outrider"


def config_file() -> Path:
    """Where settings are read from when no file is named."""
    return _within_home("XDG_CONFIG_HOME", ".config") / "config.toml"


def drafts_folder() -> Path:
    """Where releases are installed when no folder is named."""
    return _within_home("XDG_DATA_HOME", ".local/share") / "drafts"


def models_folder() -> Path:
    """Where models from a hub lie when no file is named."""
    return _within_home("XDG_DATA_HOME", ".local/share") / "models"


def ledger_file() -> Path:
    """Where the ledger lies when no file is named."""
    return _within_home("XDG_STATE_HOME", ".local/state") / "ledger.sqlite"


def _patience(value: object) -> object:
    return None if value == "infinite" else value


def _temperature(value: float) -> float:
    if 0 < value < MIN_TEMPERATURE:
        raise ValueError(f"is neither 0 nor at least {MIN_TEMPERATURE:g}")
    return value


def _strings(value: object) -> object:
    """The environment holds one string, not several."""
    return (value,) if isinstance(value, str) else value


def _host_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise ValueError("is not HOST:PORT with a port from 1 to 65535")
    return text


ExpandedPath = Annotated[Path, AfterValidator(Path.expanduser)]
NotNegative = Annotated[FiniteFloat, Field(ge=0)]
Milliseconds = Annotated[FiniteFloat, Field(ge=0, le=MAX_PATIENCE_MS)]
AtLeastOne = Annotated[int, Field(ge=1)]


class DeviceConfig(BaseModel):
    """Flat, one key a setting, so that a file, the environment and flags can say the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode | None = None  # None: exact, or local where only that is allowed
    draft: ExpandedPath = SHIPPED_DRAFT
    adapter: ExpandedPath | None = None
    cloud: Annotated[str, AfterValidator(_host_port)] = DEFAULT_CLOUD
    ca: ExpandedPath | None = None
    token_file: ExpandedPath | None = None
    local_only: bool = False
    max_tokens: AtLeastOne = _DEFAULT.max_tokens
    temperature: Annotated[NotNegative, AfterValidator(_temperature)] = _DEFAULT.temperature
    top_k: AtLeastOne | None = _DEFAULT.top_k
    top_p: Annotated[FiniteFloat, Field(gt=0, le=1)] | None = _DEFAULT.top_p
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = _DEFAULT.seed
    stop: Annotated[tuple[str, ...], BeforeValidator(_strings)] = _DEFAULT.stop
    patience: Annotated[Milliseconds | None, BeforeValidator(_patience)] = _DEFAULT.patience_ms
    span: AtLeastOne | None = _DEFAULT.shape.span
    window: AtLeastOne | None = _DEFAULT.shape.window
    width: AtLeastOne = _DEFAULT.shape.width
    branches: AtLeastOne = _DEFAULT.shape.branches
    fallback: Annotated[FiniteFloat, Field(ge=0, le=1)] = _DEFAULT.fallback.threshold
    signal: Signal = _DEFAULT.fallback.signal
    rollback: NotNegative = _DEFAULT.rollback.threshold
    distance: Distance = _DEFAULT.rollback.distance
    consent: bool = _DEFAULT.consent
    domain: str | None = _DEFAULT.domain
    ledger: ExpandedPath = Field(default_factory=ledger_file)
    threads: AtLeastOne = 1
    channel: Annotated[str, Field(min_length=1)] | None = None
    line: LineName = "demo"
    root: ExpandedPath | None = None
    drafts: ExpandedPath = Field(default_factory=drafts_folder)
    recent: Annotated[int, Field(ge=0, le=MAX_RECENT)] = 64
    report: bool = True
    update_every_s: NotNegative = 3600.0
    metered: Metered = Metered.AUTO
    update_on_metered: bool = False
    update_on_battery: bool = False

    @model_validator(mode="after")
    def _local_means_local(self) -> Self:
        if self.local_only and self.mode not in (None, Mode.LOCAL):
            raise ValueError("local-only is set, so the mode can only be local")
        return self

    @model_validator(mode="after")
    def _trusted(self) -> Self:
        if self.channel is not None and self.root is None:
            raise ValueError("a channel needs --root (root), the metadata that says whom to trust")
        return self

    @property
    def chosen_mode(self) -> Mode:
        return self.mode or (Mode.LOCAL if self.local_only else Mode.EXACT)

    def device_settings(self) -> DeviceSettings:
        """Raises BadSettings for an address or a token that cannot be used."""
        return DeviceSettings(
            draft=self.draft,
            adapter=self.adapter,
            cloud=self.address(),
            local_only=self.local_only,
            threads=self.threads,
            ledger=self.ledger,
            following=self.following(),
        )

    def following(self) -> Following | None:
        """The releases that are followed, if any are."""
        if self.channel is None or self.root is None:
            return None
        return Following(
            channel=self.channel,
            line=self.line,
            root=self.root,
            folder=self.drafts / self.line,
            recent=self.recent,
            report=self.report,
            every_s=self.update_every_s,
            metered=self.metered,
            even_metered=self.update_on_metered,
            even_on_battery=self.update_on_battery,
        )

    def update_settings(self) -> UpdateSettings | None:
        """For updates of the draft, if releases are followed."""
        following = self.following()
        if following is None:
            return None
        return UpdateSettings(
            following=following,
            factory=self.draft,
            cloud=self.address(),
            local_only=self.local_only,
            threads=self.threads,
        )

    def address(self) -> Address:
        """Where the cloud is. Raises BadSettings for a token that cannot be used."""
        return Address(target=self.cloud, ca=self.ca, token=self._token())

    def options(self) -> Options:
        """Raises BadSettings for values that do not go together."""
        return Options(
            mode=self.chosen_mode,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            seed=self.seed,
            stop=self.stop,
            shape=Shape(
                span=self.span, window=self.window, width=self.width, branches=self.branches
            ),
            fallback=Fallback(threshold=self.fallback, signal=self.signal),
            rollback=Rollback(threshold=self.rollback, distance=self.distance),
            patience_ms=self.patience,
            consent=self.consent,
            domain=self.domain,
        )

    def _token(self) -> str | None:
        if self.token_file is None:
            return None
        try:
            with self.token_file.open("rb") as file:
                token = file.read(_MAX_TOKEN_BYTES + 1).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings(f"the token file {self.token_file.name} cannot be read") from error
        if not token or len(token) > _MAX_TOKEN_BYTES or not token.isprintable() or " " in token:
            raise BadSettings(f"the token file {self.token_file.name} does not hold one token")
        return token


def read_config(
    flags: Mapping[str, object], file: Path | None, environ: Mapping[str, str]
) -> DeviceConfig:
    """All sources together. Raises SettingsError, and BadSettings for flags that contradict.

    `file` None is the default file, which need not be there.
    """
    if flags.get("local_only") and flags.get("cloud") is not None:
        raise BadSettings("--local-only and --cloud contradict each other")
    if file is None and config_file().is_file():
        file = config_file()
    ours = {k: v for k, v in environ.items() if not k.startswith(_CLOUDS_OWN_PREFIX)}
    return settings.load(
        DeviceConfig, file=file, environ=ours, prefix=ENVIRONMENT_PREFIX, flags=flags
    )
