"""What a gradient of a wrong shape may be instead."""

import numpy as np

from ramnp.gradcheck.student.judge import Judgement


def likely_shape(found: Judgement, leaf: str) -> str:
    """Words to add to "dW has shape ...": transposed, not summed, another's; or nothing."""
    value = found.gradients.found.get(leaf)
    finding = found.findings[leaf]
    wanted = finding.numeric.shape
    if value is None or np.shape(value) == wanted:
        return ""
    shape, output = np.shape(value), found.result.outputs[0].shape
    bias = len(wanted) <= 1 or wanted[0] == 1 or wanted[-1] == 1
    if bias and shape == output:
        return ": it is to be summed over the rows"
    others = [name for name, each in found.findings.items() if name != leaf and each.numeric.shape == shape]
    for name in others:
        other = found.gradients.found.get(name)
        if other is not None and np.shape(other) == wanted:
            return f", but that of {name}: d{leaf} and d{name} are swapped"
    if len(shape) > 1 and shape == wanted[::-1]:
        same = np.allclose(np.nan_to_num(np.transpose(value) - finding.numeric), 0, atol=1e-3)
        return ": it is the transpose" if same else ": it looks transposed"
    if others:
        return f", but that of {others[0]}: are they swapped?"
    if bias and shape == output[:1]:
        return ": it is summed over the wrong axis"
    if len(shape) < len(wanted):
        return ": it is summed over too many axes, or an axis is lost (keepdims, reshape)"
    if len(shape) > len(wanted):
        return ": a sum over an axis is missing, or something broadcasts"
    if np.size(value) == int(np.prod(wanted)):
        return ": its axes are in another order"
    return ""
