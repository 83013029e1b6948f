"""Small data sets and models that several tests look at."""

import numpy as np

from ramnp.backend import NUMPY
from ramnp.config import Config
from ramnp.data.generate import Scene
from ramnp.data.source import DataSet, Split, hold_out
from ramnp.network import build
from ramnp.network.policy import GaussianPolicy

SIZES = {"glimpses": 4, "patch": 6, "scales": 2, "units": 16, "what_units": 8, "where_units": 8, "glimpse_units": 16}


def dataset(config=None, digits=250, pieces=2, side=28):
    """Random digits of which scenes of 60 x 40 pixels would be composed; more than one batch of evaluate's."""
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (digits, side, side, 1), np.uint8), rng.integers(0, 10, digits))
    return DataSet("cluttered-mnist", 10, split, split[:0], split, scene=Scene(60, pieces, 8))


def trained_model(backend=NUMPY, std=0.3, **changes):
    """A model whose policy looks far around, since its weights are large."""
    config = Config(preset="cluttered60-4", std=std, **(SIZES | changes))
    model = build(config, (60, 60, 1), 10, backend, 5)
    rng = np.random.default_rng(2)
    for name in model.parameters:
        if name.startswith("policy"):
            shape = model.parameters[name].shape
            model.parameters[name][...] = backend.asarray(rng.normal(0, 0.4, shape).astype(model.dtype))
    return model


def source_of(model, **options):
    return dataset(**options).source("test", model.backend, model.margin)


SHAPES = {"cifar10": (32, 32, 3), "omniglot": (105, 105, 1)}


def tiny(config):
    """Random images of the shape that the task has, and composed as it composes them."""
    rng = np.random.default_rng(0)
    shape = SHAPES.get(config.dataset, (28, 28, 1))
    splits = [Split(rng.integers(0, 256, (n, *shape), np.uint8), rng.integers(0, 10, n)) for n in (12, 4)]
    scene = None
    if config.dataset in ("translated-mnist", "cluttered-mnist"):
        scene = Scene(config.size, config.pieces if config.dataset == "cluttered-mnist" else 0, config.piece_side)
    return DataSet(config.dataset, 10, *hold_out(splits[0], config.validation), splits[1], scene=scene)


class LearnedStd(GaussianPolicy):
    """A policy of one's own: the standard deviation is learned, one for each axis, std = exp(log_std)."""

    def __init__(self, units, std, *args, **kwargs):
        super().__init__(units, std, *args, **kwargs)
        self.names = (*self.names, "log_std")
        self.add("log_std", np.full(2, np.log(std)))

    def sample(self, mu, noise, out=None):
        sample = self.xp.multiply(noise, self.xp.exp(self.log_std), out=out)
        sample += mu
        return sample

    def log_prob(self, sample, mu):
        deviation = (sample - mu) / self.xp.exp(self.log_std)
        return -(0.5 * deviation * deviation + self.log_std + 0.5 * np.log(2 * np.pi)).sum(axis=-1)

    def log_prob_backward(self, dlog_prob, sample, mu):
        deviation = (sample - mu) / self.xp.exp(self.log_std)
        self.dlog_std += (dlog_prob[..., None] * (deviation * deviation - 1)).reshape(-1, 2).sum(axis=0)
        return dlog_prob[..., None] * deviation / self.xp.exp(self.log_std)
