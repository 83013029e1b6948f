import numpy as np

class TiedAutoencoder:
    """h = tanh(x W + b), y = h W^T + c; the loss is half the squared error, summed."""
    def __init__(self, n_visible, n_hidden, seed=0):
        rng = np.random.RandomState(seed)
        self.W = rng.normal(0, 0.3, (n_visible, n_hidden))
        self.b = np.zeros(n_hidden)
        self.c = np.zeros(n_visible)

    def loss(self, x):
        h = np.tanh(x @ self.W + self.b)
        y = h @ self.W.T + self.c
        e = y - x
        dh = e @ self.W * (1 - h ** 2)
        grads = {'W': x.T @ dh + e.T @ h, 'b': dh.sum(0), 'c': e.sum(0)}
        return 0.5 * (e ** 2).sum(), grads
