"""A script as a user writes it: mypy and pyright must find nothing, and every revealed type must help an editor.

`make lint` checks it, `tests/test_typing.py` runs it.
"""

from typing import assert_type

import numpy as np

import ramnp
from ramnp import Batch, Classifier, Config, LearningRule, RecurrentAttentionModel, Trainer
from ramnp.backend import NUMPY, Array
from ramnp.network.model import Rollout
from ramnp.network.reinforce import HybridLoss

# A trained network answers.
model = ramnp.load_pretrained("mnist-2", backend="numpy")
assert_type(model, Classifier)
assert_type(model.config, Config)
images = np.zeros((3, *model.image_shape), dtype=np.uint8)
answers: np.ndarray = model.predict(images)
chances: np.ndarray = model.probabilities(images, rollouts=2)
print(model.config.glimpses, model.config.preset, answers.shape, chances.sum())

# A network of your own, one step by hand.
config = Config(glimpses=2, units=16, glimpse_units=16, batch_size=4, core="gru")
ram = RecurrentAttentionModel(config, (28, 28, 1), 10)
rng = np.random.default_rng(0)
canvas, labels = ram.canvas(rng.random((4, 28, 28, 1))), rng.integers(0, 10, 4)
rollout = ram.forward(canvas, ram.draw(rng, 4))
assert_type(rollout, Rollout)
loss = ram.backward(rollout, labels, LearningRule.of(config))
assert_type(loss, HybridLoss)
assert_type(loss.reward, Array)

# And with the trainer.
trainer = Trainer(config, (28, 28, 1), 10, NUMPY)
trainer.step(Batch(canvas, labels, ram.draw(rng, 4)), lr=1e-3)
reward: float = trainer.means()["reward"]
print(f"{len(ram.parameters.gradients)} gradients, reward {reward:.2f}")
