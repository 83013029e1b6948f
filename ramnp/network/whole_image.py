"""The networks that the paper compares recurrent attention with (section 4.1, tables 1 and 2).

They see the whole image x, with its pixels scaled as the glimpse sensor does:

    fully connected    h_1 = relu(x W_1 + b_1),   h_2 = relu(h_1 W_2 + b_2)    64 or 256 units each
    convolutional      h_1 = relu(conv(x)),       h_2 = relu(h_1 W_2 + b_2)    8 filters, 10 x 10, stride 5; 256 units

and log p = log softmax(h_2 W_a + b_a) in both, trained by cross-entropy.

If the windows of the convolution leave some pixels over, these are not seen, as usual. The paper does not say. They
are the last 3 rows and columns of a 28 x 28 image, nearly blank in MNIST, and none of 60 x 60 or 100 x 100.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ramnp.backend import NUMPY, Array, Backend
from ramnp.config import Config
from ramnp.errors import UsageError
from ramnp.network.classifier import Classifier
from ramnp.network.convolution import Conv2D
from ramnp.network.heads import ActionNetwork
from ramnp.network.layers import (
    RELU_GAIN,
    Linear,
    log_softmax,
    relu,
    relu_backward,
)
from ramnp.network.parameters import Parameters, Part
from ramnp.network.reinforce import LearningRule, answer_loss, answer_loss_backward, rewards
from ramnp.network.sensor import Canvas, standardize
from ramnp.registry import register


class Hidden(Part):
    """h_2 = relu(relu(first(x)) W_2 + b_2), with a first layer that may be a convolution.

    Args:
        first: the first layer.
        shape: shape of its output for one image.
        units: width of h_2.
    """

    parts = ("first", "second")

    def __init__(self, first: Linear, shape: tuple[int, ...], units: int, rng: np.random.Generator) -> None:
        super().__init__(first.xp, first.dtype)
        self.first, self.shape, self.units = first, shape, units
        self.second = Linear(math.prod(shape), units, rng, RELU_GAIN, self.xp, self.dtype)

    def buffers(self, rows: int) -> tuple[Array, Array]:
        """Room for h_1 and h_2."""
        shapes = (rows, *self.shape), (rows, self.units)
        return tuple(self.xp.empty(shape, dtype=self.dtype) for shape in shapes)

    def forward(self, x: Array, out: tuple[Array, Array] | None = None) -> tuple[Array, tuple[Array, ...]]:
        """h_2 (rows, units). The cache is (x, h_1, h_2)."""
        h_1, h_2 = self.buffers(len(x)) if out is None else out
        self.first.forward(x, out=h_1)
        relu(h_1, out=h_1, xp=self.xp)
        self.second.forward(h_1.reshape(len(x), -1), out=h_2)
        relu(h_2, out=h_2, xp=self.xp)
        return h_2, (x, h_1, h_2)

    def backward(self, dh: Array, cache: tuple[Array, ...], input_gradient: bool = True) -> Array:
        """dx, or None if `input_gradient` is false. Overwrites dh."""
        x, h_1, h_2 = cache
        dh_2 = relu_backward(dh, h_2, out=dh, xp=self.xp)
        dh_1 = self.second.backward(dh_2, h_1.reshape(len(x), -1)).reshape(h_1.shape)
        dh_1 = relu_backward(dh_1, h_1, out=dh_1, xp=self.xp)
        return self.first.backward(dh_1, x, input_gradient)


@dataclass
class WholeImageOutcome:
    """What a forward pass computed: x (B, ...), the images; h_1 and h_2; log p (B, A)."""

    x: Array
    hidden: tuple[Array, Array]
    log_p: Array = None

    def arrays(self) -> dict[str, tuple[Array, ...]]:
        """The storage by part."""
        return {"image": (self.x,), "hidden": self.hidden}


class AnswerLoss(NamedTuple):
    """The cross-entropy as the only term, and the mean reward: the share of right answers. 0-d arrays."""

    terms: dict[str, Array]
    reward: Array


class WholeImageModel(Classifier):
    """log p = log softmax(h_2 W_a + b_a), of two hidden layers.

    Args:
        config: `fc_units`, `pixel_mean`, `pixel_std` and `dtype` count; the rest is about glimpses.
        image_shape, classes, backend: as for every `Classifier`.
        seed: of the initial weights.
    """

    parts = ("hidden", "action")
    terms = ("action",)
    margin = 0

    def __init__(
        self,
        config: Config,
        image_shape: tuple[int, int, int],
        classes: int,
        backend: Backend = NUMPY,
        seed: int = 0,
    ) -> None:
        super().__init__(config, image_shape, classes, backend)
        rng = np.random.default_rng(seed)
        self.hidden = self.make_hidden(rng)
        self.action = ActionNetwork(config.fc_units, classes, rng, self.xp, self.dtype)
        self.parameters = Parameters(self)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape in which the first layer takes an image."""
        raise NotImplementedError

    def make_hidden(self, rng: np.random.Generator) -> Hidden:
        """The hidden layers, with new weights."""
        raise NotImplementedError

    def rollouts(self, wanted: int) -> int:
        """1: all rollouts would be the same."""
        return 1

    def draw(self, rng: np.random.Generator, rows: int, deterministic: bool = False) -> Array:
        """Nothing is random: an empty array."""
        return self.xp.empty((0, rows, 2), dtype=self.dtype)

    def storage(self, rows: int) -> WholeImageOutcome:
        """Room for the outcome of `rows` images."""
        return WholeImageOutcome(self.xp.empty((rows, *self.input_shape), dtype=self.dtype), self.hidden.buffers(rows))

    def forward(self, canvas: Canvas, randomness: Array, *, out: WholeImageOutcome | None = None) -> WholeImageOutcome:
        """The outcome for B images.

        Raises:
            UsageError: the images are not of the shape that the model was made for.
        """
        if canvas.image_shape != self.image_shape:
            raise UsageError(f"the model is for images of {self.image_shape}, got {canvas.image_shape}")
        pixels = canvas.images
        outcome = self.storage(len(pixels)) if out is None else out
        outcome.x[...] = pixels.reshape(outcome.x.shape)
        standardize(outcome.x, pixels, self.config.pixel_mean, self.config.pixel_std)
        h, _ = self.hidden.forward(outcome.x, out=outcome.hidden)
        logits, _ = self.action.forward(h)
        outcome.log_p = log_softmax(logits, self.xp)
        return outcome

    def backward(self, outcome: WholeImageOutcome, labels: Array, rule: LearningRule) -> AnswerLoss:
        """Accumulate the gradient of the cross-entropy. Of the rule, only `class_weights` matters."""
        rule = rule._replace(gain=None)  # it answers once
        dlogits, _ = answer_loss_backward(outcome.log_p, labels, rule, xp=self.xp)
        dh = self.action.backward(dlogits, outcome.hidden[-1])
        self.hidden.backward(dh, (outcome.x, *outcome.hidden), input_gradient=False)
        terms = {"action": answer_loss(outcome.log_p, labels, rule, xp=self.xp)}
        return AnswerLoss(terms, rewards(outcome.log_p, labels).mean())

    def describe(self) -> list[str]:
        """A line for people."""
        return [f"sees all {math.prod(self.image_shape)} values at once"]


@register("model", "fc")
class FullyConnected(WholeImageModel):
    """Two fully connected hidden layers of `fc_units` units."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(H W C,)."""
        return (math.prod(self.image_shape),)

    def make_hidden(self, rng: np.random.Generator) -> Hidden:
        """Two fully connected layers."""
        units = self.config.fc_units
        first = Linear(math.prod(self.image_shape), units, rng, RELU_GAIN, self.xp, self.dtype)
        return Hidden(first, (units,), units, rng)


@register("model", "cnn")
class Convolutional(WholeImageModel):
    """One convolution of 8 filters, 10 x 10 with stride 5, and a fully connected hidden layer of `fc_units` units.

    Raises:
        UsageError: the images are smaller than a filter.
    """

    filters, kernel, stride = 8, 10, 5

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        return self.image_shape

    def make_hidden(self, rng: np.random.Generator) -> Hidden:
        """The convolution, and a fully connected layer on its maps."""
        height, width, channels = self.image_shape
        options: dict[str, Any] = {"gain": RELU_GAIN, "xp": self.xp, "dtype": self.dtype}
        first = Conv2D(channels, self.filters, self.kernel, rng, self.stride, **options)
        shape = first.output_side(height), first.output_side(width), self.filters
        return Hidden(first, shape, self.config.fc_units, rng)
