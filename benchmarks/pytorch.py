"""The recurrent attention model in PyTorch, as somebody would write it who knows PyTorch well.

The same model, loss and update as ramnp's, from the same equations and with the same settings, but written apart from
it, with autograd in the place of its backward passes. It serves twice: the benchmarks measure ramnp against it, and
`tests/test_reference.py` holds the outputs and gradients of ramnp against its.

What makes it fast: all rollouts at once; one gather of the widest patch, as bytes and without an array of indices,
from which the patches of all scales are pooled; activations overwritten where autograd allows it; the baseline after
the last glimpse, on all states at once; clipping tensor-wise (foreach), Adam fused, gradients set to None. The
alternatives that were slower here are named where the choice was made.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.task import CLASSES, LR, Task
from ramnp.backend import NUMPY
from ramnp.config import Config, ModelConfig
from ramnp.network import build
from ramnp.network.parameters import Parameters


class Outcome(NamedTuple):
    """What a forward pass gives: R rollouts, S sampled locations in each, A classes.

    Attributes:
        terms: of the hybrid loss: action, policy, baseline.
        reward: the share of right answers after the last glimpse.
        log_p: (R, A).
        mu, samples: (S, R, 2).
        baseline: (S, R).
    """

    terms: tuple[Tensor, Tensor, Tensor]
    reward: Tensor
    log_p: Tensor
    mu: Tensor
    samples: Tensor
    baseline: Tensor


class Sensor(nn.Module):
    """The glimpse sensor, for all rollouts at once.

    Args:
        config: its `patch`, `scales`, `pixel_mean` and `pixel_std`.
        margin: border of zeros around the images, in pixels.
    """

    def __init__(self, config: ModelConfig, margin: int) -> None:
        super().__init__()
        self.patch, self.margin = config.patch, margin
        self.mean, self.std = config.pixel_mean, config.pixel_std
        self.sides = [config.patch << k for k in range(config.scales)]

    def forward(self, pixels: Tensor, location: Tensor) -> Tensor:
        """rho (R, D) from padded images (B, H', W', C), uint8, and locations (R, 2). Row r looks at image r mod B."""
        if self.patch % 2:  # the patches have no common centre
            seen = [self.crop(pixels, location, side) for side in self.sides]
            for k in range(len(seen)):
                for _ in range(k):
                    seen[k] = halve(seen[k])
        else:
            scene, seen = self.crop(pixels, location, self.sides[-1]), []
            for k in range(len(self.sides)):
                if k:
                    scene = halve(scene)
                start = (scene.shape[1] - self.patch) // 2
                seen.append(scene[:, start : start + self.patch, start : start + self.patch])
        return self.standardized(torch.stack(seen, dim=1).flatten(1))

    def standardized(self, rho: Tensor) -> Tensor:
        """(pixel - mean) / std, of bytes."""
        rho = rho * (1 / (255 * self.std))
        return rho - self.mean / self.std if self.mean else rho

    def crop(self, pixels: Tensor, location: Tensor, side: int) -> Tensor:
        """(R, side, side, C) pixels around the locations, in the type of the locations."""
        left, top = self.corners(pixels, location, side)
        image = torch.arange(len(location), device=location.device) % len(pixels)
        # A view of all windows of all images, indexed: up to seven times as fast as an index for every pixel.
        windows = pixels.unfold(1, side, 1).unfold(2, side, 1)
        return windows[image, top, left].permute(0, 2, 3, 1).to(location.dtype)

    def corners(self, pixels: Tensor, location: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """First column and first row of the patches, (R,) each, in the padded images."""
        _, height, width, _ = pixels.shape
        x, y = location.unbind(dim=1)
        return tuple(
            torch.floor((along + 1) * ((extent - 2 * self.margin) / 2) - side / 2 + 1 / 2).long() + self.margin
            for along, extent in ((x, width), (y, height))
        )


class LoopSensor(Sensor):
    """The glimpse sensor as most public code has it: one patch of one image after the other."""

    def forward(self, pixels: Tensor, location: Tensor) -> Tensor:
        """rho (R, D), as the other sensor's."""
        images = pixels.permute(0, 3, 1, 2)
        seen = []
        for side in self.sides:
            left, top = (corner.tolist() for corner in self.corners(pixels, location, side))
            patches = [
                images[row % len(images), :, top[row] : top[row] + side, left[row] : left[row] + side]
                for row in range(len(location))
            ]
            patch = torch.stack(patches).to(location.dtype)
            seen.append(functional.avg_pool2d(patch, side // self.patch).permute(0, 2, 3, 1))
        return self.standardized(torch.stack(seen, dim=1).flatten(1))


def halve(scene: Tensor) -> Tensor:
    """The mean of 2 x 2 pixels, of maps (R, H, W, C). Sums of slices are several times as fast as avg_pool2d."""
    rows = scene[:, ::2] + scene[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]).mul_(1 / 4)


class Features(nn.Module):
    """relu(conv(pool(relu(conv(glimpse))))), of the convolutional glimpse network."""

    def __init__(self, config: ModelConfig, channels: int) -> None:
        super().__init__()
        self.shape = (config.scales, config.patch, config.patch, channels)
        self.first = nn.Conv2d(config.scales * channels, 32, 3, padding=1)
        self.second = nn.Conv2d(32, 64, 3, padding=1)

    def forward(self, rho: Tensor) -> Tensor:
        image = rho.unflatten(1, self.shape).permute(0, 1, 4, 2, 3).flatten(1, 2)
        pooled = functional.avg_pool2d(self.first(image).relu_(), 2)
        return self.second(pooled).relu_().permute(0, 2, 3, 1).flatten(1)


class GlimpseNetwork(nn.Module):
    """g = relu(mix [relu(what rho), relu(where l)])."""

    def __init__(self, config: ModelConfig, channels: int) -> None:
        super().__init__()
        size = config.scales * config.patch**2 * channels
        if config.glimpse_network == "conv":
            self.features = Features(config, channels)
            size = 64 * (config.patch // 2) ** 2
        else:
            self.features = nn.Identity()
        self.what = nn.Linear(size, config.what_units)
        self.where = nn.Linear(2, config.where_units)
        self.mix = nn.Linear(config.what_units + config.where_units, config.glimpse_units)

    def forward(self, rho: Tensor, location: Tensor) -> Tensor:
        return self.mix(torch.cat([self.what(self.features(rho)), self.where(location)], dim=1).relu_()).relu_()


class Core(nn.Module):
    """The recurrent core: an RNN with ReLU, an LSTM with columns i, f, o, u, or a GRU with x_n, r, k, y_n.

    Weights are (out, in).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        columns = {"rnn": (1, 1), "lstm": (4, 4), "gru": (3, 4)}  # of the weights and of the bias, in units
        if config.core not in columns:
            raise NotImplementedError(f"a {config.core} core in PyTorch")
        self.kind = config.core
        width, biases = (config.units * count for count in columns[config.core])
        self.W_hh = nn.Parameter(torch.empty(width, config.units))
        self.W_gh = nn.Parameter(torch.empty(width, config.glimpse_units))
        self.b = nn.Parameter(torch.empty(biases))

    def forward(self, t: int, g: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The next h and c, after step t. Before the first, h is zero."""
        if self.kind == "gru":
            return self.gru(g, h), c
        z = functional.linear(g, self.W_gh, self.b)
        if t > 0:
            z = z.addmm_(h, self.W_hh.T)
        if self.kind == "rnn":
            return z.relu_(), c
        ifo, u = z.split([3 * h.shape[1], h.shape[1]], dim=1)
        i, f, o = ifo.sigmoid().chunk(3, dim=1)
        c = torch.addcmul(f * c, i, u.tanh())
        return o * c.tanh(), c

    def gru(self, g: Tensor, h: Tensor) -> Tensor:
        """The next h of a GRU, by PyTorch's own cell, which has the columns r, k, n, and two biases for each."""
        b_x, b_r, b_k, b_y = self.b.chunk(4)
        W_n, W_r, W_k = self.W_gh.chunk(3)
        of_input = torch.cat([b_r, b_k, b_x])
        of_state = torch.cat([torch.zeros_like(b_r), torch.zeros_like(b_k), b_y])
        return torch.gru_cell(g, h, torch.cat([W_r, W_k, W_n]), self.W_hh, of_input, of_state)


class Policy(nn.Module):
    """The mean of the next location."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.policy != "learned":
            raise NotImplementedError(f"a {config.policy} policy in PyTorch")
        self.squash = {"tanh": torch.tanh, "clip": lambda a: a.clamp(-1, 1), "linear": lambda a: a}[config.squash]
        width = config.units
        self.hidden = nn.Identity()
        if config.policy_hidden:
            self.hidden = nn.Sequential(nn.Linear(width, config.policy_hidden), nn.ReLU(inplace=True))
            width = config.policy_hidden
        self.mean = nn.Linear(width, 2)
        if config.first_location == "learned":
            self.first = nn.Parameter(torch.empty(2))

    def forward(self, h: Tensor) -> Tensor:
        return self.squash(self.mean(self.hidden(h)))


class Ram(nn.Module):
    """Recurrent attention with its hybrid loss.

    Args:
        config: the model, and the learning rule: `routing`, `policy_weight`, `reward`, `discount`, `early_weight`.
        channels: C, colours of the images.
        classes: A.
        margin: border of zeros around the images, in pixels.
        sensor: the class of the glimpse sensor.
    """

    def __init__(self, config: Config, channels: int, classes: int, margin: int, sensor: type[Sensor] = Sensor) -> None:
        super().__init__()
        self.config = config
        self.sensor = sensor(config, margin)
        self.glimpse = GlimpseNetwork(config, channels)
        self.core = Core(config)
        self.action = nn.Linear(config.units, classes)
        self.given = config.glimpses
        if not config.control:
            self.policy, self.baseline = Policy(config), nn.Linear(config.units, 1)
            self.given = 0 if config.first_location == "learned" else 1

    def forward(self, pixels: Tensor, labels: Tensor, randomness: Tensor) -> Outcome:
        """Look T times and answer.

        Args:
            pixels: (B, H', W', C) padded images, uint8.
            labels: (B,).
            randomness: (T, R, 2) the given locations, then the noise of the others.
        """
        config, rows = self.config, randomness.shape[1]
        h = c = randomness.new_zeros(rows, config.units)
        states, decisions, mus, samples = [], [], [], []
        for t in range(config.glimpses):
            location = randomness[t]
            if t >= self.given:
                mu = self.choose(t, h)
                sample = (mu + config.std * location).detach()
                location = sample.clamp(-1, 1)
                decisions.append(h)
                mus.append(mu)
                samples.append(sample)
            h, c = self.core(t, self.glimpse(self.sensor(pixels, location), location), h, c)
            states.append(h)
        # The paper's rule needs the last answer alone.
        answers = self.action(torch.stack(states if config.reward == "gain" else states[-1:])).log_softmax(dim=2)
        return self.losses(answers, labels.repeat(rows // len(labels)), decisions, mus, samples)

    def choose(self, t: int, h: Tensor) -> Tensor:
        """The mean (R, 2) of the location of step t."""
        if t == 0:
            return self.policy.squash(self.policy.first).expand(len(h), 2)
        return self.policy(h.detach() if self.config.routing == "detached" else h)

    def losses(
        self, answers: Tensor, labels: Tensor, decisions: list[Tensor], mus: list[Tensor], samples: list[Tensor]
    ) -> Outcome:
        """The hybrid loss by terms, from the last answer log p (1, R, A), or where gains are rewarded all T."""
        std, log_p = self.config.std, answers[-1]
        action = functional.nll_loss(log_p, labels)
        for earlier in answers[:-1]:
            action = action + self.config.early_weight * functional.nll_loss(earlier, labels)
        right = (log_p.argmax(dim=1) == labels).to(log_p.dtype)
        nothing = log_p.new_zeros(0, len(log_p), 2)
        if not mus:
            zero = log_p.new_zeros(())
            return Outcome((action, zero, zero), right.mean(), log_p, nothing, nothing, nothing[:, :, 0])
        mu, sample = torch.stack(mus), torch.stack(samples)
        baseline = self.baseline(torch.stack(decisions).detach()).squeeze(2)
        # The density's constant factor moves the loss, and no gradient.
        log_pi = ((sample - mu) / std).square().sum(dim=2) * -0.5 - np.log(2 * np.pi * std**2)
        reward = self.returns(answers.detach(), labels, len(mu)) if self.config.reward == "gain" else right
        advantage = reward - baseline.detach()
        policy = (advantage * log_pi).sum() * (-self.config.policy_weight / len(log_p))
        return Outcome(
            (action, policy, functional.mse_loss(baseline, reward.expand_as(baseline))),
            right.mean(), log_p, mu, sample, baseline,
        )  # fmt: skip

    def returns(self, answers: Tensor, labels: Tensor, decisions: int) -> Tensor:
        """(S, R) the discounted gains in the label's probability that follow each sampled location."""
        p = answers.exp().gather(2, labels.expand(len(answers), -1)[..., None]).squeeze(2)
        gains = torch.diff(p, dim=0, prepend=torch.zeros_like(p[:1]))[len(p) - decisions :]
        powers = self.config.discount ** torch.arange(decisions, dtype=p.dtype, device=p.device)
        return torch.stack([(powers[: decisions - s, None] * gains[s:]).sum(dim=0) for s in range(decisions)])

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """The parameters under ramnp's names."""
        for name, parameter in self.named_parameters():
            yield name.replace("hidden.0", "hidden").replace(".weight", ".W").replace(".bias", ".b"), parameter

    def load(self, parameters: Parameters) -> None:
        """Take over the values of ramnp's parameters."""
        with torch.no_grad():
            for name, parameter in self.weights():
                mine = in_out(parameter)
                mine.copy_(torch.as_tensor(parameters[name]).reshape(mine.shape))

    def gradients(self) -> dict[str, np.ndarray]:
        """The gradients under ramnp's names, with input before output; zeros where there is none."""
        return {
            name: in_out(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).numpy()
            for name, parameter in self.weights()
        }


def in_out(weights: Tensor) -> Tensor:
    """PyTorch's weights, (out, in) or (out, in, row, column), as a view with the axes as ramnp has them."""
    return weights.permute(2, 3, 1, 0) if weights.ndim == 4 else weights.T if weights.ndim == 2 else weights


class Training:
    """The training step, a contestant (see `timing.py`).

    Args:
        task: what to train.
        kind: "eager", "compiled", "patch loop" or, on a GPU, "CUDA graph": the eager step, recorded once and replayed.
    """

    def __init__(self, task: Task, kind: str) -> None:
        config = self.config = task.config
        torch.set_num_threads(config.workers)
        self.device = torch.device("cuda" if task.backend == "cupy" else "cpu")
        ours = build(config, task.image_shape, CLASSES, NUMPY, config.seed)
        sensor = LoopSensor if kind == "patch loop" else Sensor
        model = Ram(config, task.image_shape[2], CLASSES, ours.margin, sensor)
        model.load(ours.parameters)
        self.model = model.to(self.device)
        mode = "reduce-overhead" if self.device.type == "cuda" else None  # a CUDA graph
        self.forward = torch.compile(self.model, mode=mode) if kind == "compiled" else self.model
        kinds = {"adam": torch.optim.Adam, "sgd": partial(torch.optim.SGD, momentum=config.momentum)}
        groups = [
            {"params": list(part.parameters()), "lr": LR * (config.policy_lr if name == "policy" else 1)}
            for name, part in self.model.named_children()
        ]
        graph = {"capturable": True} if kind == "CUDA graph" and config.optimizer == "adam" else {}
        self.optimizer = kinds[config.optimizer](groups, fused=True, **graph)
        self.rows = config.batch_size * ours.rollouts(config.rollouts)
        self.batches = cycle(
            [
                (torch.from_numpy(canvas.pixels).to(self.device), torch.from_numpy(labels).to(self.device))
                for canvas, labels, *_ in task.batches(ours)
            ]
        )
        self.totals = torch.zeros(5, device=self.device)
        self.replay: Callable[[], None] | None = None
        if kind == "CUDA graph":
            self.replay = self.record()

    def step(self) -> None:
        pixels, labels = next(self.batches)
        if self.replay:
            for place, made in zip(self.places, (pixels, labels), strict=True):
                place.copy_(made)
            self.replay()
        else:
            self.train(pixels, labels)

    def record(self) -> Callable[[], None]:
        """Record a step on a batch that lies in `places`; return what replays it."""
        self.places = tuple(tensor.clone() for tensor in next(self.batches))
        stream = torch.cuda.Stream()  # what happens only once must not be recorded, and not happen on the usual stream
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.train(*self.places)
        torch.cuda.current_stream().wait_stream(stream)
        self.optimizer.zero_grad(set_to_none=True)  # the gradients of the graph are its own
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.train(*self.places)
        return graph.replay

    def train(self, pixels: Tensor, labels: Tensor) -> None:
        """One step on a batch."""
        outcome = self.forward(pixels, labels, self.draw())
        self.optimizer.zero_grad(set_to_none=True)
        sum(outcome.terms).backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip or torch.inf, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            self.totals += torch.stack([*outcome.terms, outcome.reward, norm])

    def draw(self) -> Tensor:
        """The randomness (T, R, 2): uniform where locations are given, then normal."""
        randomness = torch.randn(self.config.glimpses, self.rows, 2, device=self.device)
        randomness[: self.model.given].uniform_(-1, 1)
        return randomness

    def wait(self) -> None:
        self.totals.tolist()
