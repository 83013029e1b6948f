import numpy as np

def sig(a):
    return 1 / (1 + np.exp(-a))

class GRUCell:
    def __init__(self, input_size, hidden_size):
        s = 1 / np.sqrt(hidden_size)
        r = np.random.RandomState(0)
        self.Wz, self.Wr, self.Wn = [r.uniform(-s, s, (input_size, hidden_size)) for _ in range(3)]
        self.Uz, self.Ur, self.Un = [r.uniform(-s, s, (hidden_size, hidden_size)) for _ in range(3)]
        self.bz, self.br, self.bn = [np.zeros(hidden_size) for _ in range(3)]

    def forward(self, x, h):
        z = sig(x @ self.Wz + h @ self.Uz + self.bz)
        r = sig(x @ self.Wr + h @ self.Ur + self.br)
        n = np.tanh(x @ self.Wn + (r * h) @ self.Un + self.bn)
        out = (1 - z) * n + z * h
        self.cache = x, h, z, r, n
        return out

    def backward(self, dout):
        x, h, z, r, n = self.cache
        dn = dout * (1 - z) * (1 - n ** 2)
        dz = dout * (h - n) * z * (1 - z)
        drh = dn @ self.Un.T
        dr = drh * h * r * (1 - r)
        self.dWz, self.dWr, self.dWn = x.T @ dz, x.T @ dr, x.T @ dn
        self.dUz, self.dUr, self.dUn = h.T @ dz, h.T @ dr, (r * h).T @ dn
        self.dbz, self.dbr, self.dbn = dz.sum(0), dr.sum(0), dn.sum(0)
        dx = dz @ self.Wz.T + dr @ self.Wr.T + dn @ self.Wn.T
        dh = dout * z + drh * r + dz @ self.Uz.T + dr @ self.Ur.T
        return dx, dh
