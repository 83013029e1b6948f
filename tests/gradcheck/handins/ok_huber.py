import numpy as np

def huber_loss(pred, target, delta=1.0):
    """Returns the mean Huber loss and its gradient with respect to pred."""
    r = pred - target
    small = np.abs(r) <= delta
    loss = np.where(small, 0.5 * r ** 2, delta * (np.abs(r) - 0.5 * delta)).mean()
    dpred = np.where(small, r, delta * np.sign(r)) / r.size
    return loss, dpred
