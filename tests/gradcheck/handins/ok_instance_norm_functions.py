import numpy as np

def instance_norm_forward(x, gamma, beta, eps=1e-5):
    """x: (N, C, H, W); gamma, beta: (C,)"""
    mu = x.mean(axis=(2, 3), keepdims=True)
    var = x.var(axis=(2, 3), keepdims=True)
    inv = 1.0 / np.sqrt(var + eps)
    xhat = (x - mu) * inv
    out = gamma[None, :, None, None] * xhat + beta[None, :, None, None]
    return out, (xhat, inv, gamma)

def instance_norm_backward(dout, cache):
    xhat, inv, gamma = cache
    dgamma = (dout * xhat).sum(axis=(0, 2, 3))
    dbeta = dout.sum(axis=(0, 2, 3))
    dxhat = dout * gamma[None, :, None, None]
    m = dxhat.shape[2] * dxhat.shape[3]
    dx = inv / m * (m * dxhat - dxhat.sum((2, 3), keepdims=True) - xhat * (dxhat * xhat).sum((2, 3), keepdims=True))
    return dx, dgamma, dbeta
