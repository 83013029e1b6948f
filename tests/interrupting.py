"""Ctrl-C, as the tests of the commands press it."""

from ramnp.training.trainer import Trainer


def interrupt_after(monkeypatch, steps):
    """Ctrl-C in the middle of the training step after so many."""
    taken, step = [], Trainer.step

    def counted(self, *arguments):
        step(self, *arguments)
        taken.append(1)
        if len(taken) == steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "step", counted)
