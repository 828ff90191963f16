"""Values that are put and got with OpenDHT, as `main.rs` does with names.

    /usr/bin/python3 cli/benches/names/beside_opendht.py [--nodes 50] [--values 10000] [--bytes 100] [--clients 8]

Needs Debian's `dhtnode` and `python3-opendht`. Every client is a node of its own; the others are processes of `dhtnode`.
A put counts when OpenDHT says that it is done, a get when the first value is there. Values are not signed: OpenDHT has
less to do than a name has.
"""

import argparse
import socket
import subprocess
import threading
import time

import opendht


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_nodes(count):
    first = free_port()
    nodes = [subprocess.Popen(["dhtnode", "-s", "-p", str(first)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
    time.sleep(1)
    for _ in range(count - 1):
        command = ["dhtnode", "-s", "-p", str(free_port()), "-b", f"127.0.0.1:{first}"]
        nodes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL))
    return first, nodes


def once(work, client, name, size):
    """Puts or gets one value; returns the seconds taken, or None."""
    done, right = threading.Event(), []

    def ended(ok, _nodes):
        if ok and work == "put":
            right.append(True)
        done.set()

    def found(value):
        right.append(len(value.data) == size)
        done.set()
        return False

    begun = time.monotonic()
    key = opendht.InfoHash.get(f"name-{name}")
    if work == "put":
        client.put(key, opendht.Value(b"x" * size), ended)
    else:
        client.get(key, found, ended)
    if not done.wait(30) or not any(right):
        return None
    return time.monotonic() - begun


def measure(work, clients, values, size):
    times, failed, lock = [], [0], threading.Lock()

    def run(number):
        for name in range(number, values, len(clients)):
            taken = once(work, clients[number], name if work == "put" else (name + 1) % values, size)
            with lock:
                if taken is None:
                    failed[0] += 1
                else:
                    times.append(taken * 1e3)

    begun = time.monotonic()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(times) / (time.monotonic() - begun)
    times.sort()

    def at(share):
        return times[int(len(times) * share)] if times else float("nan")

    print(f"{work:16} p50 {at(0.5):7.2f} ms  p95 {at(0.95):7.2f} ms  p99 {at(0.99):7.2f} ms  {rate:8.0f} per second  "
          f"{failed[0]} failed", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--values", type=int, default=10000)
    parser.add_argument("--bytes", type=int, default=100)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    first, nodes = start_nodes(options.nodes - options.clients)
    try:
        clients = []
        for _ in range(options.clients):
            client = opendht.DhtRunner()
            client.run(port=free_port())
            client.bootstrap("127.0.0.1", str(first))
            clients.append(client)
        time.sleep(20)
        print(f"{options.nodes} nodes, {options.values} values of {options.bytes} bytes, {options.clients} clients",
              flush=True)
        for work in ["put", "get"]:
            measure(work, clients, options.values, options.bytes)
    finally:
        for node in nodes:
            node.kill()


if __name__ == "__main__":
    main()
