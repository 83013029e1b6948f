import numpy as np

class Layer:
    def forward(self, x): raise NotImplementedError
    def backward(self, g): raise NotImplementedError
    def params(self): return []

class Linear(Layer):
    def __init__(self, i, o):
        self.w = np.random.randn(i, o) / np.sqrt(i)
        self.b = np.zeros((1, o))
    def forward(self, x):
        self.x = x
        return x.dot(self.w) + self.b
    def backward(self, g):
        self.gw = self.x.T.dot(g)
        self.gb = g.sum(axis=0, keepdims=True)
        return g.dot(self.w.T)
    def params(self): return [(self.w, self.gw), (self.b, self.gb)]

class LeakyReLU(Layer):
    def __init__(self, slope=0.01): self.slope = slope
    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, self.slope * x)
    def backward(self, g):
        return g * np.where(self.x > 0, 1, self.slope)

class Sequential(Layer):
    def __init__(self, *layers): self.layers = layers
    def forward(self, x):
        for l in self.layers: x = l.forward(x)
        return x
    def backward(self, g):
        for l in reversed(self.layers): g = l.backward(g)
        return g

class SoftmaxCrossEntropy:
    def forward(self, z, y):
        z = z - z.max(axis=1, keepdims=True)
        self.p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        self.y = y
        return -np.log(self.p[np.arange(len(y)), y]).mean()
    def backward(self):
        g = self.p.copy()
        g[np.arange(len(self.y)), self.y] -= 1
        return g / len(self.y)

if __name__ == "__main__":
    net = Sequential(Linear(4, 8), LeakyReLU(), Linear(8, 3))
    loss = SoftmaxCrossEntropy()
    x, y = np.random.randn(10, 4), np.random.randint(0, 3, 10)
    for step in range(5):
        print(loss.forward(net.forward(x), y))
        net.backward(loss.backward())
        for l in net.layers:
            for p, g in l.params():
                p -= 0.1 * g
