"""Where the true derivative of a loss is not what is meant: REINFORCE, whose advantage is a constant.

A surrogate loss is made to be differentiated with respect to the log-probabilities alone. The reference decides.
"""

import re
from collections.abc import Iterator

import numpy as np

from ramnp.gradcheck.report import WRONG, Row
from ramnp.gradcheck.student.judge import Judgement
from ramnp.gradcheck.student.state import fetch

REWARD = re.compile(r"^(rewards?|r|returns?|g|adv\w*)$", re.IGNORECASE)
BASELINE = re.compile(r"^(baselines?|b|b_t|values?|v|adv\w*|rewards?|returns?)$", re.IGNORECASE)
POLICY = re.compile(r"^(mus?|means?|log_?p\w*|logits?|probs?|theta|actor\w*|pi)$", re.IGNORECASE)


def is_surrogate(found: Judgement) -> bool:
    """Whether a loss is one of REINFORCE: of a reward, and of what a policy's probabilities are made of."""
    names = list(found.world.args)
    loss = found.result.outputs[0].ndim == 0
    return loss and any(map(REWARD.match, names)) and any(map(POLICY.match, names))


def surrogate_rows(found: Judgement) -> Iterator[Row]:
    """A gradient for what is to be a constant; a baseline that is not subtracted; a sign."""
    if not is_surrogate(found):
        return
    reading, name = found.reading, found.reading.candidate.name
    for leaf, item in found.gradients.found.items():
        if not BASELINE.match(leaf) or item is None or not np.any(item):
            continue
        if depends_on_policy(found, leaf):
            message = (
                f"the policy's loss has a gradient for {leaf}: it leaks into the {leaf}. "
                "The advantage, reward - baseline, is a constant: a detach (stop-gradient) is missing"
            )
            yield Row(name, f"d{leaf} (constant)", np.shape(item), verdict=WRONG, message=message)
    if found.wrong:
        return
    unused = [
        argument
        for argument in found.world.args
        if BASELINE.match(argument)
        and argument not in reading.leaves
        and isinstance(found.world.args[argument], np.ndarray)
    ]
    for argument in unused:
        if re.match(r"^(baselines?|b|values?)$", argument):
            yield Row(
                name,
                f"{argument} used",
                verdict=WRONG,
                message=f"the {argument} is not subtracted: it has no influence on the loss",
            )
    if sign := wrong_sign(found):
        yield Row(name, "sign", verdict=WRONG, message=sign)


def depends_on_policy(found: Judgement, leaf: str) -> bool:
    """Whether a gradient changes with the policy's own numbers, as a leak does and a baseline's own loss does not."""
    world = found.world.copied()
    for argument, value in world.args.items():
        if POLICY.match(argument) and isinstance(value, np.ndarray):
            value += 0.1
    result = found.reading.forward(world)
    after = found.reading.backward(world, result, found.dys).found.get(leaf)
    return after is None or not np.allclose(after, found.gradients.found[leaf])


def wrong_sign(found: Judgement) -> str | None:
    """Whether following minus the gradient makes rewarded samples less likely."""
    leaves = [leaf for leaf in found.findings if POLICY.match(leaf)]
    rewards = [argument for argument in found.world.args if REWARD.match(argument)]
    if len(leaves) != 1 or not rewards or not re.search(r"loss|reinforce", found.reading.candidate.name, re.IGNORECASE):
        return None
    leaf = leaves[0]
    sample = next(
        (
            v
            for k, v in found.world.args.items()
            if re.match(r"^(samples?|locs?|locations?|actions?|l)$", k) and isinstance(v, np.ndarray)
        ),
        None,
    )
    item = np.asarray(fetch(found.world, found.reading.leaves[leaf]))
    world = found.world.copied()
    for argument in rewards:
        world.args[argument] = np.asarray(world.args[argument]) + 10.0  # everything is rewarded
    gradient = found.reading.backward(world, found.reading.forward(world), found.dys).found.get(leaf)
    if gradient is None:
        return None
    if leaf.startswith(("log", "lp")):
        upwards = float(np.sum(gradient))
    elif sample is not None and sample.shape == item.shape and sample.dtype.kind == "f":
        upwards = float(np.sum(gradient * (sample - item)))
    else:
        return None
    if upwards > 0:
        return (
            "the sign is wrong: the loss is to be minus the expected reward, "
            "and this one makes rewarded samples less likely"
        )
    return None
