"""Faster kernels for a GPU: cuDNN's convolutions where it is installed, cuBLAS's products, and kernels of our own.

CuPy serves without them. Its functions take 10 to 20 us of the CPU's time each, so what counts here is how few
launches an op takes; `kernels.cu` is compiled once for each element type, and CuPy keeps the result on disk.
`generated` compiles what the JIT writes, and `capture` records a whole step as one launch. Each function of the others
gives None where it does not do what is asked, and CuPy has to.
"""
