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


class MouldMissingError(CallerError):
    """A transformers folder says nothing about the form of the GGUF file."""

    def __init__(self) -> None:
        super().__init__("a draft that is no GGUF file needs --mould, a file that gives the form")


class TargetNeededError(CallerError):
    """Samples that the student writes must be judged."""

    def __init__(self, source: str) -> None:
        super().__init__(f"--source {source} needs --target: who else would judge new answers?")


class CloudNeededError(CallerError):
    """Idleness is something that a cloud reports."""

    def __init__(self) -> None:
        super().__init__("--idle needs --cloud: who else would say how busy it is?")


class TokenizersDifferError(CallerError):
    """Drafts of two tokenizers cannot be compared: they read different answers."""

    def __init__(self, new: Path, old: Path) -> None:
        super().__init__(f"{new} and {old} have different tokenizers")


class LoraNeededError(CallerError):
    """Without a LoRA there is no adapter."""

    def __init__(self) -> None:
        super().__init__("--adapter needs --lora: a full training changes the file itself")


class BaseMissingError(CallerError):
    """An adapter drafts nothing by itself."""

    def __init__(self, adapter: Path) -> None:
        super().__init__(f"{adapter} is an adapter: name the GGUF file it lies over with --base")


class NothingToLearnError(CallerError):
    """A store has no record this draft may learn from, or none with a position that counts."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"there is nothing to learn from: {reason}")


class NothingToJudgeError(CallerError):
    """No recorded answer is left to compare drafts by."""

    def __init__(self, records: int, held_out: int) -> None:
        super().__init__(
            f"there is nothing to judge by: of {records} records {held_out} are exact and held "
            "out, and the new draft was trained on the prompts of all of those"
        )


class CheckpointMismatchError(CallerError):
    """The checkpoint belongs to a run with other settings."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is of an unfinished run with other records or settings: finish that one, "
            "remove it, or use another place"
        )


class CheckpointUnreadableError(CallerError):
    """Something else, or half of one."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} cannot be read as a checkpoint: remove it to begin anew")


class FolderBusyError(CallerError):
    """Two runs in one folder would put each other's files forward."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"another worker is at work in {folder}")


class KeysNeededError(CallerError):
    """Nothing is released unsigned."""

    def __init__(self) -> None:
        super().__init__("--publish needs --keys, the folder of the online key")


class NeverUpdatesError(CallerError):
    """Nothing would ever call for an update."""

    def __init__(self) -> None:
        super().__init__("with --every 0 nothing is learnt without --fall, --idle or --schedule-s")


class DivergedError(TrainingError):
    """The loss or a gradient is no number any more; the student is as it was before the step."""

    def __init__(self, step: int, kept: Path) -> None:
        super().__init__(f"the loss of step {step} is not a number; its batch is in {kept}")


class WeightsDivergedError(TrainingError):
    """Weights so large, or no numbers at all, that no file can hold them."""

    def __init__(self, tensor: str) -> None:
        super().__init__(f"the weights of {tensor} have diverged: learn more slowly")


class WorkerEndedError(TrainingError):
    """The worker's process ended by a fault; what it said went to standard error."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the worker ended with exit code {code}")


class ResourceError(TrainingError):
    """The machine lacks something: a library, a writable place, room on the disk."""


class TargetUnwritableError(ResourceError):
    """The output could not be written; what was there before is untouched."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot write {path}: {reason}")


class MemoryExhaustedError(ResourceError):
    """Not even one example fits."""

    def __init__(self) -> None:
        super().__init__("the memory does not hold one example: use a smaller model or context")


class QuantizerMissingError(ResourceError):
    """The ggml library that llama-cpp-python ships was not found."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"no ggml-base library in {folder}; install llama-cpp-python")


class QualityError(TrainingError):
    """A trained model misses a band; the shipped files were left as they were."""

    def __init__(self, misses: list[str]) -> None:
        super().__init__("the models were not replaced: " + "; ".join(misses))
