"""The target that comes with the package, under the name `demo`."""

from importlib.resources import files

DEMO = "demo"


def resolve(target: str) -> str:
    """What is loaded for a target's name: `demo` is the folder inside this package."""
    if target != DEMO:
        return target
    return str(files("outrider_cloud") / "models" / "demo-target")
