"""What can go wrong in training and conversion, by who must act."""

from pathlib import Path


class TrainingError(Exception):
    """Base of every error this package raises on purpose."""


class CallerError(TrainingError):
    """The caller must give something else."""


class FolderMissingError(CallerError):
    """There is no transformers folder at the given path."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"no transformers folder with a config.json at {folder}")


class ModelUnreadableError(CallerError):
    """The folder or file is there but cannot be loaded."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot load {path}: {reason}")


class ModelUnsupportedError(CallerError):
    """The model uses something the conversion does not know."""

    def __init__(self, feature: str, found: object, supported: str) -> None:
        super().__init__(f"unsupported {feature}: {found}; supported: {supported}")


class TypeUnsupportedError(CallerError):
    """Tensors of this type cannot be written."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"tensors of type {kind} cannot be written")


class MouldMismatchError(CallerError):
    """The file that should give the form has not the model's."""

    def __init__(self, mould: Path, problem: str) -> None:
        super().__init__(f"{mould} cannot be the mould: it {problem}")


class TokenizerUnsupportedError(CallerError):
    """llama.cpp would not give the same token ids for this tokenizer."""

    def __init__(self, feature: str) -> None:
        super().__init__(f"unsupported tokenizer: {feature}")


class PromptTooLongError(CallerError):
    """A prompt leaves no room for an answer."""

    def __init__(self, number: int, tokens: int, most: int) -> None:
        super().__init__(f"prompt {number} has {tokens} tokens, the target's context holds {most}")


class ResourceError(TrainingError):
    """The machine lacks something: a library, a writable place, room on the disk."""


class TargetUnwritableError(ResourceError):
    """The output could not be written; what was there before is untouched."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot write {path}: {reason}")


class QuantizerMissingError(ResourceError):
    """The ggml library that llama-cpp-python ships was not found."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"no ggml-base library in {folder}; install llama-cpp-python")


class QualityError(TrainingError):
    """A trained model misses a band; the shipped files were left as they were."""

    def __init__(self, misses: list[str]) -> None:
        super().__init__("the models were not replaced: " + "; ".join(misses))
