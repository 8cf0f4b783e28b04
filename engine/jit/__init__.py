"""Compilation of what runs often: ops that are put off and computed together by generated C, or CUDA on a GPU.

Python always runs as written. Ops on large arrays that follow one another are put off until somebody looks at a result;
`region` collects them, `plan` knows by their key whether there is a kernel, `derive` makes it from the ops' own rules,
and `source` and `cuda` write it down. `engine.native` runs the system's compiler beside the program and keeps what it
made; on a GPU `engine.gpu.generated` does that with CUDA's.
"""
