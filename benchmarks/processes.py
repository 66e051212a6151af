"""Start one program at a time, with a limit on its threads, and see what it took (Linux, macOS).

Where /proc tells it (Linux), a result says what share of the processors other programs had. Threads
that wait for each other in busy loops (those of NumPy and PyTorch) become ten times slower when a
neighbour takes one of two cores: a time that was shared with others compares nothing.
"""

import contextlib
import json
import os
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",  # PyTorch, and OpenMP in general
    "OPENBLAS_NUM_THREADS",  # NumPy
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",  # NumPy on macOS
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "NPROC",  # XLA, hence JAX
)
DISTURBED = 0.05  # the share of the processors from which on a measurement is repeated
ATTEMPTS = 3
TIME_LIMIT = 1800  # seconds; a program that hangs must not stop the others


def limit_to(threads):
    """Keep this process and all that it starts on so many processors, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def busy_seconds():
    """Processor seconds that all programs, and neighbours of a virtual machine, have had so far."""
    file = Path("/proc/stat")
    if not file.exists():
        return None
    user, nice, system, _, _, interrupts, soft, steal = map(int, file.read_text().split()[1:9])
    return (user + nice + system + interrupts + soft + steal) / os.sysconf("SC_CLK_TCK")


def run(command, threads, folder=None):
    """Run a program to its end.

    Returns {"status", "output", "seconds", "peak_memory_mb", "others"}: stdout and stderr together,
    the wall time from start to exit, the most memory that it or one of its children held, in MiB,
    and the share of all processors that others had meanwhile, from 0 to 1 or None.
    """
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "2"}  # errors only
    os.sync()  # what was written before is not waited for by this one
    with tempfile.TemporaryFile() as file:
        busy, began = busy_seconds(), time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        timer = threading.Timer(TIME_LIMIT, process.kill)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            others = None
            if busy is not None:
                own = usage.ru_utime + usage.ru_stime
                others = max(0.0, busy_seconds() - busy - own) / (seconds * os.cpu_count())
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            timer.cancel()
            if process.returncode is None:  # Ctrl-C reached us first
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        file.seek(0)
        output = file.read().decode(errors="replace")
    unit = 2**20 if os.uname().sysname == "Darwin" else 2**10
    return {
        "status": process.returncode,
        "output": output,
        "seconds": seconds,
        "peak_memory_mb": usage.ru_maxrss / unit,
        "others": others,
    }


def measure(command, threads, folder=None):
    """Run a program; return the JSON of its last line, else what it took as a whole.

    A program that fails gives {"failed": reason}: its last line that names an error, or its last.
    """
    result = run(command, threads, folder)
    lines = [line for line in result.pop("output").splitlines() if line.strip()] or [""]
    status = result.pop("status")
    if status:
        errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b|error:", line)]
        return {"failed": f"exit status {status}: {(errors or lines)[-1].strip()[:200]}"}
    if lines[-1].startswith("{"):
        return json.loads(lines[-1]) | {"others": result["others"]}
    reached = re.findall(r"test: .*accuracy = ([\d.]+)", "\n".join(lines))
    return result | {"accuracy": float(reached[-1]) if reached else None}


def measure_undisturbed(command, threads, folder=None):
    """Measure again, a few times at most, while other programs take too much of the processors.

    Returns the least disturbed result: chosen by what others did, never by what came out.
    """
    results = []
    while len(results) < ATTEMPTS:
        results.append(measure(command, threads, folder))
        if (results[-1].get("others") or 0) < DISTURBED:
            return results[-1]
    return min(results, key=lambda result: result.get("others") or 0)


def disturbances(rounds):
    """In words, how many of the results in all rounds, [[result]], were disturbed; "" if none."""
    shares = [result.get("others") or 0 for results in rounds for result in results]
    count = sum(share >= DISTURBED for share in shares)
    return f"; {count} of {len(shares)} measurements disturbed by other programs" if count else ""
