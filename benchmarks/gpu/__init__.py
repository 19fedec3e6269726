"""How fast `lstm_torch` is on one GPU beside PyTorch's own ways: `python -m benchmarks.gpu`, in under ten minutes.

    row.py           a row of the table, and how it is measured: prove, warm up, time all in turn
    rows/            one file a row: what is timed, at what shape, by whom
    float64.py       the truth: the model's equations in float64, on the device
    proof.py         nothing is timed that disagrees with it
    device.py        clocks, memory, TF32, CUDA graphs; a CPU stands in for a dry run
    floors.py        operations and bytes that no version can do without
    predictions.py   what we expected before anything was measured
    worker.py        the process that holds the device
    session.py       the budget, a new worker where one died, results as they come
    report.py        the table, predicted beside measured
    quality.py       trains until a score is reached: --quality
    requirements.py  what a bare machine lacks, and how to bring it

It needs no network and no installed command: a checkout, torch, NumPy and Numba, and the wheels of `make gpu-wheels`.
"""
