#!/usr/bin/env python3
"""What the agent costs, beside the least that reading can cost.

    bench.py BIN_DIRECTORY [--seconds=30] [--containers=220] [--scaling]

Makes pods of two containers with real cgroups, processes and network namespaces (load.c), runs the
real agent at 1 s against a real aggregator and, in the same seconds, the C floor (floor.c). Needs
root; makes and removes cgroups below kubepods/. The last line is one JSON object.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = "/sys/fs/cgroup"
IS_V2 = os.path.exists(f"{ROOT}/cgroup.controllers")


def compile_c(name, directory):
    out = os.path.join(directory, name)
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", out, f"{HERE}/{name}.c"], check=True)
    return out


def cpu_nanoseconds(pid):
    """CPU time of all threads, as the scheduler counts it."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as f:
            total += int(f.read().split()[0])
    return total


def status_kib(pid, key):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    return 0


class MemoryCgroup:
    """A memory cgroup of the agent's own, to see what the kernel charges to it."""

    def __init__(self):
        self.path = f"{ROOT}{'' if IS_V2 else '/memory'}/heapwire-bench-{os.getpid()}"
        os.mkdir(self.path)

    def enter(self):
        with open(f"{self.path}/cgroup.procs", "w") as f:
            f.write("0")

    def kernel_kib(self):
        if not IS_V2:
            with open(f"{self.path}/memory.kmem.usage_in_bytes") as f:
                return int(f.read()) // 1024
        with open(f"{self.path}/memory.stat") as f:
            values = dict(line.split() for line in f)
        return int(values.get("kernel", 0)) // 1024

    def remove(self):
        for _ in range(100):
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.05)


def stop(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def measure(bin_directory, tools, containers, seconds, idle_processes=0, with_floor=True):
    load = subprocess.Popen(
        [tools["load"], str(containers // 2), ROOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if load.stdout.readline().strip() != "ready":
        raise SystemExit("bench: the load did not start; root is needed")
    idle = [subprocess.Popen(["sleep", "3600"]) for _ in range(idle_processes)]
    memory = MemoryCgroup()
    aggregator = agent = None
    try:
        aggregator = subprocess.Popen(
            [f"{bin_directory}/heapwire-aggregator", "--port=18982", "--ingest-port=18990",
             "--metric-resolution=1s", "--log-level=error"])
        time.sleep(0.5)
        agent = subprocess.Popen(
            [f"{bin_directory}/heapwire-agent", "--aggregator=127.0.0.1:18990", "--resolution=1s",
             "--node-name=bench", "--log-level=warning"], preexec_fn=memory.enter)
        time.sleep(8)
        floor = None
        if with_floor:
            floor = subprocess.Popen([tools["floor"], ROOT, str(seconds)], stdout=subprocess.PIPE, text=True)
        before, began = cpu_nanoseconds(agent.pid), time.monotonic()
        time.sleep(seconds)
        used, elapsed = cpu_nanoseconds(agent.pid) - before, time.monotonic() - began
        result = {
            "containers": containers,
            "cpu_us_per_step": round(used / 1000 / elapsed, 1),
            "cpu_us_per_container": round(used / 1000 / elapsed / containers, 2),
            "percent_of_core": round(used / elapsed / 1e7, 3),
            "rss_kib": status_kib(agent.pid, "VmRSS"),
            "rss_anon_kib": status_kib(agent.pid, "RssAnon"),
            "rss_peak_kib": status_kib(agent.pid, "VmHWM"),
            "kernel_memory_kib": memory.kernel_kib(),
            "descriptors": len(os.listdir(f"/proc/{agent.pid}/fd")),
        }
        if floor:
            files, microseconds = floor.communicate(timeout=60)[0].split()
            result["floor_files"] = int(files)
            result["floor_us_per_step"] = float(microseconds)
            result["cpu_ratio_to_floor"] = round(result["cpu_us_per_step"] / float(microseconds), 3)
        return result
    finally:
        for process in [agent, aggregator] + idle:
            if process:
                stop(process)
        load.stdin.close()
        load.wait()
        memory.remove()


def scale(bin_directory, tools, seconds):
    """The cost by number of containers, and with processes that are none of the agent's business.

    The machine's own cgroups cost something too, so linear is a line that need not go through zero.
    """
    rows = []
    for count, idle in ((10, 0), (100, 0), (100, 2000), (1000, 0)):
        r = measure(bin_directory, tools, count, seconds, idle_processes=idle)
        r["other_processes"] = idle
        rows.append(r)
        print(f"{count:5} containers, {idle:5,} other processes: {r['cpu_us_per_step']:9.1f} us a step, "
              f"{r['cpu_us_per_container']:7.2f} us a container, {r['cpu_ratio_to_floor']:.2f} of the floor, "
              f"{r['rss_kib']} KiB resident, {r['kernel_memory_kib']} KiB of the kernel's", flush=True)
    ten, hundred, crowded, thousand = (r["cpu_us_per_step"] for r in rows)
    low, high = (hundred - ten) / 90, (thousand - hundred) / 900
    print(f"one container more: {low:.1f} us between 10 and 100, {high:.1f} us between 100 and 1,000")
    print(json.dumps({"scaling": rows, "us_per_container_10_to_100": round(low, 2),
                      "us_per_container_100_to_1000": round(high, 2),
                      "crowded_ratio": round(crowded / hundred, 3)}))


def main():
    options = dict(a[2:].split("=") for a in sys.argv[2:] if "=" in a)
    seconds, containers = int(options.get("seconds", 30)), int(options.get("containers", 220))
    if os.geteuid() != 0:
        raise SystemExit("bench: making cgroups needs root")
    with tempfile.TemporaryDirectory() as directory:
        tools = {name: compile_c(name, directory) for name in ("load", "floor")}
        if "--scaling" in sys.argv:
            scale(sys.argv[1], tools, seconds)
            return
        result = measure(sys.argv[1], tools, containers, seconds)
    print(f"{containers} containers in {containers // 2} pods, 1 s steps, {seconds} s")
    for key, value in result.items():
        print(f"  {key:22} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
