import numpy as np

class Dropout:
    def __init__(self, p=0.3):
        self.p = p
        self.mask = None
        self.train = True

    def forward(self, x):
        if not self.train:
            return x
        self.mask = (np.random.rand(*x.shape) > self.p) / (1.0 - self.p)
        return x * self.mask

    def backward(self, grad):
        return grad * self.mask
