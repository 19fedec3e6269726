"""How fast the twins are beside other implementations of the same model: `python -m benchmarks`.

    cases.py         what is timed: shapes, dtype, parameters, data
    contenders/      who is timed: one file an implementation
    agreement.py     nothing is timed that was not proved right
    run.py           a case from proof to times
    worker.py        a process for every contender
    quiet.py         one thread pool at a time, and how much of the machine others took
    pairs.py         interleaved turns, ratios
    report.py        a table to read, a JSON file to compute with

To add a contender, satisfy the protocol in `contenders` and name it there; to add a case, name it in `cases`.
"""
