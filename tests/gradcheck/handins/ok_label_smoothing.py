import numpy as np

def label_smoothing_cross_entropy(logits, labels, eps=0.1):
    N, C = logits.shape
    z = logits - logits.max(axis=1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    q = np.full((N, C), eps / C)
    q[np.arange(N), labels] += 1 - eps
    loss = -(q * logp).sum() / N
    dlogits = (np.exp(logp) - q) / N
    return loss, dlogits
