"""Recurrent Models of Visual Attention, with every forward and backward pass written by hand."""

import signal
import sys

# Python calls this "-m" while it looks for a command, `python -m ramnp.train`. Until that has imported what it needs
# and listens itself (`cli.run`), Ctrl-C ends it as the system has it, and not with a traceback.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers, which know these names and complete them
    from ramnp.config import Config as Config
    from ramnp.data.batch import Batch as Batch
    from ramnp.data.folder import read_folder as read_folder
    from ramnp.data.source import DataSet as DataSet
    from ramnp.data.source import Split as Split
    from ramnp.data.source import hold_out as hold_out
    from ramnp.data.task import Task as Task
    from ramnp.gradcheck.numeric import check_gradient as check_gradient
    from ramnp.network import build as build
    from ramnp.network.classifier import Classifier as Classifier
    from ramnp.network.core import Core as Core
    from ramnp.network.core import CoreCache as CoreCache
    from ramnp.network.glimpse import GlimpseNetwork as GlimpseNetwork
    from ramnp.network.look import Look as Look
    from ramnp.network.look import Step as Step
    from ramnp.network.model import RecurrentAttentionModel as RecurrentAttentionModel
    from ramnp.network.parameters import Part as Part
    from ramnp.network.policy import GaussianPolicy as GaussianPolicy
    from ramnp.network.reinforce import LearningRule as LearningRule
    from ramnp.pictures.looks import film as film
    from ramnp.pictures.looks import plot_path as plot_path
    from ramnp.pictures.looks import plot_probabilities as plot_probabilities
    from ramnp.presets import PRESETS as PRESETS
    from ramnp.presets import Row as Row
    from ramnp.presets import add_preset as add_preset
    from ramnp.registry import register as register
    from ramnp.training.optim import Optimizer as Optimizer
    from ramnp.training.trained import load_pretrained as load_pretrained
    from ramnp.training.trainer import Trainer as Trainer
    from ramnp.use.export import export_onnx as export_onnx
    from ramnp.use.fit import fit as fit
    from ramnp.use.model import TrainedModel as TrainedModel
    from ramnp.use.model import load as load

    __version__: str

# A name is imported when it is first asked for, so that `import ramnp` costs little more than NumPy.
_HOME = {
    "Batch": "ramnp.data.batch",
    "Classifier": "ramnp.network.classifier",
    "Config": "ramnp.config",
    "Core": "ramnp.network.core",
    "CoreCache": "ramnp.network.core",
    "DataSet": "ramnp.data.source",
    "GaussianPolicy": "ramnp.network.policy",
    "GlimpseNetwork": "ramnp.network.glimpse",
    "LearningRule": "ramnp.network.reinforce",
    "Look": "ramnp.network.look",
    "Optimizer": "ramnp.training.optim",
    "PRESETS": "ramnp.presets",
    "Part": "ramnp.network.parameters",
    "RecurrentAttentionModel": "ramnp.network.model",
    "Row": "ramnp.presets",
    "Split": "ramnp.data.source",
    "Step": "ramnp.network.look",
    "Task": "ramnp.data.task",
    "TrainedModel": "ramnp.use.model",
    "Trainer": "ramnp.training.trainer",
    "add_preset": "ramnp.presets",
    "build": "ramnp.network",
    "check_gradient": "ramnp.gradcheck.numeric",
    "export_onnx": "ramnp.use.export",
    "film": "ramnp.pictures.looks",
    "fit": "ramnp.use.fit",
    "hold_out": "ramnp.data.source",
    "load": "ramnp.use.model",
    "load_pretrained": "ramnp.training.trained",
    "plot_path": "ramnp.pictures.looks",
    "plot_probabilities": "ramnp.pictures.looks",
    "read_folder": "ramnp.data.folder",
    "register": "ramnp.registry",
}


if not TYPE_CHECKING:  # with this in sight, no type checker would notice a wrong name

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return import_module("ramnp.version").VERSION
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module 'ramnp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, "__version__"})
