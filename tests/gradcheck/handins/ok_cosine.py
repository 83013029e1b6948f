import numpy as np

def cosine_similarity_forward(a, b):
    na = np.linalg.norm(a, axis=1, keepdims=True)
    nb = np.linalg.norm(b, axis=1, keepdims=True)
    s = (a * b).sum(axis=1, keepdims=True) / (na * nb)
    return s[:, 0], (a, b, na, nb, s)

def cosine_similarity_backward(ds, cache):
    a, b, na, nb, s = cache
    ds = ds[:, None]
    da = ds * (b / (na * nb) - s * a / na ** 2)
    db = ds * (a / (na * nb) - s * b / nb ** 2)
    return da, db
