"""The command `outrider pull`: a first model, with a bar, from where it was left."""

import os
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from outrider_edge.cli_drafts import progress_bar
from outrider_edge.config import models_folder, read_config
from outrider_edge.ending import ending, print_json
from outrider_edge.flags import ConfigFlag, JsonFlag, LocalOnlyFlag
from outrider_edge.ledger import Account, Ledger, Meter


def pull(
    model: Annotated[str, typer.Argument(help="hf:ORG/REPO/FILE.gguf, perhaps with @REVISION.")],
    to: Annotated[
        Path | None,
        typer.Option(help="The file or folder to write.  [in ~/.local/share/outrider/models]"),
    ] = None,
    as_json: JsonFlag = False,
    local_only: LocalOnlyFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Fetch a GGUF model from the Hugging Face Hub, to be used with --draft.

    What had come before an interruption is not fetched again; the digest is checked at the end.
    HF_TOKEN and HF_ENDPOINT count as everywhere.
    """
    from outrider_edge.hub import HubFile, fetch  # which other commands never need
    from outrider_edge.web import Web

    with ending(as_json):
        chosen = read_config({"local_only": local_only}, config, os.environ)
        wanted = HubFile.parse(model)
        target = wanted.place(models_folder()) if to is None else to
        if target.is_dir():
            target = target / Path(wanted.file).name
        meter = Meter()
        account = Account(meter, Ledger(chosen.ledger))
        try:
            with (
                account.kept(),
                closing(Web(meter, local_only=chosen.local_only)) as web,
                progress_bar(as_json=as_json) as progress,
            ):
                fetch(wanted, target, web, progress)
        finally:
            account.record("pull")
        if as_json:
            print_json({"file": str(target), "bytes": target.stat().st_size})
        else:
            print(target)
