"""Options shared by several commands."""

from __future__ import annotations

from typing import Annotated

import typer

Storage = Annotated[
    str | None,
    typer.Option(help="Folder or fsspec URI of results. Default: $LATENTPRINT_STORAGE or ./runs."),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="key=value, e.g. training.epochs=2; repeatable.")
]
TrackingUri = Annotated[
    str | None, typer.Option(help="MLflow. Default: sqlite:///<storage>/mlflow.db.")
]
Address = Annotated[
    str | None, typer.Option(help="Ray cluster: auto or host:port. Default: a local one.")
]
