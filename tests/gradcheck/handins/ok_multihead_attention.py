import numpy as np

def softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    e = np.exp(x)
    return e / e.sum(axis=-1, keepdims=True)

class MultiHeadAttention:
    def __init__(self, d_model, num_heads):
        self.h = num_heads
        g = np.random.default_rng(1)
        self.Wq, self.Wk, self.Wv, self.Wo = (g.normal(0, 0.4, (d_model, d_model)) for _ in range(4))

    def _split(self, x):
        B, T, C = x.shape
        return x.reshape(B, T, self.h, C // self.h).transpose(0, 2, 1, 3)

    def _merge(self, x):
        B, H, T, D = x.shape
        return x.transpose(0, 2, 1, 3).reshape(B, T, H * D)

    def forward(self, x):
        self.x = x
        self.q, self.k, self.v = self._split(x @ self.Wq), self._split(x @ self.Wk), self._split(x @ self.Wv)
        self.scale = 1 / np.sqrt(self.q.shape[-1])
        self.a = softmax(self.q @ self.k.swapaxes(-1, -2) * self.scale)
        self.o = self._merge(self.a @ self.v)
        return self.o @ self.Wo

    def backward(self, dy):
        flat = lambda m: m.reshape(-1, m.shape[-1])
        self.dWo = flat(self.o).T @ flat(dy)
        do = self._split(dy @ self.Wo.T)
        da = do @ self.v.swapaxes(-1, -2)
        dv = self.a.swapaxes(-1, -2) @ do
        ds = self.a * (da - (da * self.a).sum(-1, keepdims=True)) * self.scale
        dq = ds @ self.k
        dk = ds.swapaxes(-1, -2) @ self.q
        dq, dk, dv = self._merge(dq), self._merge(dk), self._merge(dv)
        self.dWq = flat(self.x).T @ flat(dq)
        self.dWk = flat(self.x).T @ flat(dk)
        self.dWv = flat(self.x).T @ flat(dv)
        return dq @ self.Wq.T + dk @ self.Wk.T + dv @ self.Wv.T
