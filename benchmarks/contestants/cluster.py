"""Start a contestant as every worker of a cluster on this machine; what the chief prints counts.

    python cluster.py 2 project_workers.py --project=FOLDER --data=FOLDER --epochs=10

Each worker gets TF_CONFIG, and what PyTorch reads: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path


def main():
    count, program, *arguments = sys.argv[1:]
    listeners = [socket.create_server(("localhost", 0)) for _ in range(int(count))]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    hosts = [f"localhost:{port}" for port in ports]
    processes = []
    for index in range(len(hosts)):
        task = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TF_CONFIG": json.dumps(task), "RANK": str(index)}
        environment |= {
            "WORLD_SIZE": count,
            "MASTER_ADDR": "localhost",
            "MASTER_PORT": str(ports[0]),
        }
        command = [sys.executable, Path(__file__).parent / program, *arguments]
        output = subprocess.PIPE if index == 0 else subprocess.DEVNULL
        processes.append(subprocess.Popen(command, env=environment, stdout=output, text=True))
    said, _ = processes[0].communicate()
    status = max(process.wait() for process in processes)
    print(said, end="", flush=True)  # after all that the workers say when they end
    sys.exit(status)


if __name__ == "__main__":
    main()
