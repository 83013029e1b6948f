import numpy as np

class Embedding:
    def __init__(self, vocab_size, dim):
        self.weight = np.random.randn(vocab_size, dim) * 0.1
        self.grad = np.zeros_like(self.weight)

    def forward(self, ids):
        self.ids = ids
        return self.weight[ids]

    def backward(self, dout):
        self.grad[self.ids] += dout

    def zero_grad(self):
        self.grad[...] = 0
