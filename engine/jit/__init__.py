"""Compilation of what runs often: ops that are put off and computed together by generated C.

Python always runs as written. Ops on large arrays that follow one another are put off until somebody looks at a result;
`region` collects them, `plan` knows by their key whether there is a kernel, `derive` and `source` write its C from the
ops' own rules. `engine.native` runs the system's compiler beside the program and keeps what it made.
"""
