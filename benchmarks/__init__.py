"""How fast the twins are beside other implementations of the same model, and beside the machine's limit: `lstm bench`.

    verb.py          the command
    cases.py         what is timed: shapes, precision, parameters, data
    contenders/      who is timed: one file an implementation
    agreement.py     nothing is timed that was not proved right
    run.py           a case from proof to times
    worker.py        a process for every contender
    quiet.py         one thread pool at a time, and how much of the machine others took
    pairs.py         interleaved turns, ratios
    start.py         how long a process takes to start
    products.py      the matrix products of a case, and so its FLOP
    roofline.py      how fast this machine multiplies at these shapes, and copies
    memory.py        peak memory
    sweep.py, fit.py how cost grows with T, B, H, V and threads
    report.py        a table to read, a JSON file to compute with
    plot.py          pictures of result files
    gate.py          what `make test` asks of speed, on a machine that others use too

To add a contender, satisfy the protocol in `contenders` and name it there; to add a case, name it in `cases`.
"""
