"""Faster kernels for the CPU from oneDNN, where the package `onednn-cpu-gomp` is installed; NumPy serves without it.

Arrays stay NumPy's: those of images come out with their channels last in memory, which NumPy sees as strides.
"""
