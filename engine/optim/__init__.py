"""Optimizers, under PyTorch's names. Each update is a node of the graph, of the phase "optimizer"."""

from engine.optim.adam import Adam
from engine.optim.optimizer import Optimizer
from engine.optim.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer"]
