import numpy as np

class LogisticRegression:
    def __init__(self, n_features):
        self.theta = np.zeros(n_features)
        self.intercept = 0.0

    def predict_proba(self, X):
        return 1.0 / (1.0 + np.exp(-(X @ self.theta + self.intercept)))

    def cost(self, X, y):
        p = self.predict_proba(X)
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))

    def gradient(self, X, y):
        err = self.predict_proba(X) - y
        return X.T @ err, err.mean()
