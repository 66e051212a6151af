"""Measure other kinds of networks than run.py's, side by side with the same peers.

    python benchmarks/networks.py                          all four, three rounds: about an hour
    python benchmarks/networks.py --only=conv,wide/project --rounds=1

Convolutions, an LSTM, an embedding and wide layers; contestants/networks_work.py says what they
are. The project is measured as it comes and with each --jit, so that one sees what its own choice
is worth. Writes build/bench/networks.json and networks.md; MNIST_MIRROR as for run.py.
"""

import argparse
import os
import sys

import prepare
import processes
import report
import run

NETWORKS = {
    "conv": "Two convolutions, batch 100",
    "recurrent": "LSTM of 128 units, 28 steps, batch 100",
    "embedding": "Embedding of 20,000 x 32, 100 tokens, batch 100",
    "wide": "784-2048-2048-10, batch 1024",
}
# {contestant: (kind, program and its switches)}
CONTESTANTS = {
    "limit": ("limit", "networks_limit.py"),
    "project": ("ours", "networks_project.py"),
    "project_loop": ("ours", "networks_project.py --jit=loop"),
    "project_step": ("ours", "networks_project.py --jit=step"),
    "project_off": ("ours", "networks_project.py --jit=off"),
    "jax": ("peer", "networks_jax.py"),
    "torch_eager": ("peer", "networks_torch.py"),
    "torch_compile": ("peer", "networks_torch.py --compile"),
    "keras_fit": ("peer", "networks_keras.py"),
    "keras_best": ("peer", "networks_keras.py --best"),
    "keras_best_jit": ("peer", "networks_keras.py --best --jit"),
}
WITHOUT_LIMIT = ("embedding",)  # it has no kernel of a library that takes most of its time
GOAL = 1.1  # times as fast as the best peer
COLUMNS = "contestant,µs a step,min - max,others,ratio,test accuracy,after steps,peak MiB"
GOAL_COLUMNS = "network,ours,--jit,best peer,ratio,at least 1.1,limit,limit / ours"


def all_commands(threads):
    """Every contestant of every network: {"network/contestant": (command, folder)}."""
    _, project = prepare.template_and_project()
    common = [f"--project={project}", f"--data={prepare.real_digits(project)}"]
    common += [f"--threads={threads}"]
    commands = {}
    for network in NETWORKS:
        for name, (_, program) in CONTESTANTS.items():
            if name == "limit" and network in WITHOUT_LIMIT:
                continue
            file, *switches = program.split()
            command = [sys.executable, run.FOLDER / file, f"--network={network}", *switches]
            commands[f"{network}/{name}"] = ([*command, *common], None)
    return commands


def of_network(results, network):
    """The results of one network, {contestant: [result]}, each with its µs a step."""
    found = {}
    for name, rounds in results.items():
        if name.startswith(f"{network}/"):
            timed = [r if "failed" in r else r | microseconds(r) for r in rounds]
            found[name.split("/")[1]] = timed
    return found


def microseconds(result):
    return {"microseconds": 1e6 / result["steps_per_second"]}


def rows(results):
    """One row for each contestant of a network, the fastest first; ratio: its speed over ours."""
    times, accuracies = report.medians(results, "microseconds"), report.medians(results, "accuracy")
    memory, trained = report.medians(results, "peak_memory_mb"), report.medians(results, "trained")
    ours, found = times.get("project"), []
    for name in sorted(times, key=times.get):
        ratio = f"{ours / times[name]:.2f}" if ours else "-"
        has_learnt = name in accuracies
        reached = [f"{accuracies[name]:.4f}", f"{trained[name]:,.0f}"] if has_learnt else ["-", "-"]
        spread = report.spread(results, name, "microseconds")
        found.append([name, *spread, ratio, *reached, f"{memory[name]:,.0f}"])
    return found


def goal(network, results):
    """A row: ours beside the best peer, whether that reaches the goal, and how near the limit is.

    Where the best peer itself is nearer to the limit than the goal, no loop can reach the goal.
    """
    times = report.medians(results, "microseconds")
    peers = {n: t for n, t in times.items() if CONTESTANTS[n][0] == "peer"}
    if "project" not in times or not peers:
        return None
    ours, limit, best = times["project"], times.get("limit"), min(peers, key=peers.get)
    is_reached = peers[best] / ours >= GOAL
    is_out_of_reach = limit is not None and peers[best] / limit < GOAL
    verdict = "yes" if is_reached else "no: beyond the limit" if is_out_of_reach else "no"
    share = ["-", "-"] if limit is None else [f"{limit:,.0f}", f"{limit / ours:.2f}"]
    jit = results["project"][0]["jit"]
    ratio = f"{peers[best] / ours:.2f}"
    return [network, f"{ours:,.0f}", jit, f"{best} {peers[best]:,.0f}", ratio, verdict, *share]


def tables(results):
    """All tables, as (title, columns, rows)."""
    by_network = {network: of_network(results, network) for network in NETWORKS}
    goals = [goal(network, found) for network, found in by_network.items()]
    found = [(NETWORKS[n], COLUMNS, rows(found)) for n, found in by_network.items()]
    found.append(("Ours and the best peer, µs a step", GOAL_COLUMNS, [row for row in goals if row]))
    found = [(title, columns.split(","), cells) for title, columns, cells in found]
    return [*found, report.not_measured(results)]


def wanted(commands, only):
    """Those commands whose names begin with one of the names in only; ValueError names another."""
    names = only.split(",") if only else [""]
    for name in names:
        if not any(command.startswith(name) for command in commands):
            raise ValueError(f"--only={name} is unknown; known: {', '.join(commands)}")
    return {n: command for n, command in commands.items() if n.startswith(tuple(names))}


def main():
    parser = argparse.ArgumentParser(
        allow_abbrev=False, description="Measure the project's other networks beside its peers'."
    )
    parser.add_argument("--only", help="networks, or network/contestant, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count()))
    options = parser.parse_args()
    if min(options.rounds, options.threads) < 1:
        parser.error("--rounds and --threads must be 1 or more")

    prepare.BUILD.mkdir(parents=True, exist_ok=True)
    machine = prepare.machine(options.threads)
    processes.limit_to(options.threads)
    try:
        commands = wanted(all_commands(options.threads), options.only)
    except ValueError as error:
        parser.error(str(error))
    results = run.rounds(commands, options.rounds, options.threads)
    about = f"{options.rounds} rounds, {options.threads} threads"
    about += processes.disturbances(results.values())
    report.write("networks", about, machine, tables(results), prepare.BUILD, results)


if __name__ == "__main__":
    main()
