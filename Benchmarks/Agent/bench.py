#!/usr/bin/env python3
"""What the agent costs, beside the least that reading can cost.

Makes pods of two containers with real cgroups, processes and network namespaces (load.c), runs the
real agent at 1 s against a real aggregator and, in the same seconds, the C floor (floor.c). Needs
root; makes and removes cgroups below kubepods/. The last line is one JSON object.

--scaling: by number of containers, and beside 2,000 processes that are in no container. --groups: what each
group of metrics costs, from two agents in the same seconds, one with it and one without. --resolution: seconds from
one of the agent's steps to the next; the floor's are one second, so it is not there beside others.
"""
import argparse
import contextlib
import json
import os
import subprocess
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


@contextlib.contextmanager
def load(tools, containers):
    """Pods of two containers each."""
    process = subprocess.Popen(
        [tools["load"], str(containers // 2), ROOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if process.stdout.readline().strip() != "ready":
        raise SystemExit("bench: the load did not start; root is needed")
    try:
        yield
    finally:
        process.stdin.close()
        process.wait()


@contextlib.contextmanager
def others(count):
    """Processes that are none of the agent's business, asleep."""
    processes = [subprocess.Popen(["sleep", "3600"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


@contextlib.contextmanager
def aggregator(bin_directory):
    process = subprocess.Popen(
        [f"{bin_directory}/heapwire-aggregator", "--port=18982", "--ingest-port=18990",
         "--metric-resolution=1s", "--log-level=error"])
    try:
        time.sleep(0.5)
        yield
    finally:
        stop(process)


@contextlib.contextmanager
def agent(bin_directory, name, disabled=(), memory=None, resolution=1):
    process = subprocess.Popen(
        [f"{bin_directory}/heapwire-agent", "--aggregator=127.0.0.1:18990", f"--resolution={resolution}s",
         f"--node-name={name}", "--log-level=warning"] + ([f"--disable={','.join(disabled)}"] if disabled else []),
        preexec_fn=memory.enter if memory else None)
    try:
        yield process.pid
    finally:
        stop(process)


def measure(bin_directory, tools, containers, seconds, resolution=1):
    memory = MemoryCgroup()
    try:
        with load(tools, containers), aggregator(bin_directory), \
                agent(bin_directory, "bench", memory=memory, resolution=resolution) as pid:
            # The first three steps read every setting.
            time.sleep(5 + 3 * resolution)
            floor = None
            if resolution == 1:
                floor = subprocess.Popen([tools["floor"], ROOT, str(seconds)], stdout=subprocess.PIPE, text=True)
            before, began = cpu_nanoseconds(pid), time.monotonic()
            time.sleep(seconds)
            used, elapsed = cpu_nanoseconds(pid) - before, time.monotonic() - began
            per_step = used / 1000 / elapsed * resolution
            result = {
                "containers": containers,
                "cpu_us_per_step": round(per_step, 1),
                "cpu_us_per_container": round(per_step / containers, 2),
                "percent_of_core": round(used / elapsed / 1e7, 3),
                "rss_kib": status_kib(pid, "VmRSS"),
                "rss_anon_kib": status_kib(pid, "RssAnon"),
                "rss_peak_kib": status_kib(pid, "VmHWM"),
                "kernel_memory_kib": memory.kernel_kib(),
                "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
            }
            if floor:
                files, microseconds = floor.communicate(timeout=60)[0].split()
                result["floor_files"] = int(files)
                result["floor_us_per_step"] = float(microseconds)
                result["cpu_ratio_to_floor"] = round(per_step / float(microseconds), 3)
            return result
    finally:
        memory.remove()


# Each is what the first list leaves out beyond the second: a file's group may need another's.
GROUPS = (
    ("cpu", ("cpu",), ()), ("memory-stat", ("memory-stat",), ()),
    ("memory", ("memory", "memory-stat"), ("memory-stat",)), ("psi", ("psi",), ()), ("io", ("io",), ()),
    ("threads", ("threads", "processes"), ("processes",)), ("processes", ("processes",), ()),
    ("network", ("network",), ()), ("hugetlb", ("hugetlb",), ()), ("volumes", ("volumes",), ()),
    ("ephemeral", ("ephemeral",), ()), ("system", ("system",), ()),
    ("disk, filesystem, sockets, agent", ("disk", "filesystem", "sockets", "agent"), ()),
)


def pair(bin_directory, disabled, seconds):
    """CPU microseconds a step of agents that run at the same times, by what each leaves out."""
    with contextlib.ExitStack() as stack:
        pids = [stack.enter_context(agent(bin_directory, f"pair{i}", d)) for i, d in enumerate(disabled)]
        # What is looked for at the start and once more, ten seconds later, is no group's price.
        time.sleep(15)
        before, began = [cpu_nanoseconds(pid) for pid in pids], time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - began
        return [(cpu_nanoseconds(pid) - start) / 1000 / elapsed for pid, start in zip(pids, before)]


def by_group(bin_directory, tools, containers, seconds):
    """What a container costs more with a group than without it.

    Two agents run at the same times, for the difference of two runs one after the other would be lost in what else
    the machine does; once the one and once the other is the first to read, who pays for what the kernel adds up. The
    first line, the same agent twice, says how much noise is left.
    """
    rows = {}
    with load(tools, containers), aggregator(bin_directory):
        for name, without, both in (("(nothing)", (), ()),) + GROUPS:
            one, other = pair(bin_directory, (both, without), seconds / 2)
            other_again, one_again = pair(bin_directory, (without, both), seconds / 2)
            with_it, without_it = (one + one_again) / 2, (other + other_again) / 2
            row = rows[name] = {
                "us_per_step_with": round(with_it, 1), "us_per_step_without": round(without_it, 1),
                "us_per_step": round(with_it - without_it, 1),
                "us_per_container": round((with_it - without_it) / containers, 2)}
            print(f"{name:34} {with_it:9.1f} us a step with, {without_it:9.1f} without: "
                  f"{row['us_per_step']:8.1f}, {row['us_per_container']:6.2f} a container", flush=True)
    print(json.dumps({"containers": containers, "groups": rows}))


def crowd(bin_directory, tools, containers, count, seconds):
    """The same agent without and with processes that are none of its business, in turns."""
    used = {0: 0.0, count: 0.0}
    rounds = 3
    with load(tools, containers), aggregator(bin_directory), agent(bin_directory, "crowd") as pid:
        time.sleep(5)
        for _ in range(rounds):
            for processes in (0, count):
                with others(processes):
                    # That there are other processes is looked at once in ten seconds.
                    time.sleep(12)
                    before, began = cpu_nanoseconds(pid), time.monotonic()
                    time.sleep(seconds / 2)
                    used[processes] += (cpu_nanoseconds(pid) - before) / 1000 / (time.monotonic() - began) / rounds
    return used[0], used[count]


def scale(bin_directory, tools, seconds):
    """The cost by number of containers, and with processes that are none of the agent's business.

    The machine's own cgroups cost something too, so linear is a line that need not go through zero.
    """
    rows = []
    for count in (10, 100, 1000):
        r = measure(bin_directory, tools, count, seconds)
        rows.append(r)
        print(f"{count:5} containers: {r['cpu_us_per_step']:9.1f} us a step, "
              f"{r['cpu_us_per_container']:7.2f} us a container, {r['cpu_ratio_to_floor']:.2f} of the floor, "
              f"{r['rss_kib']} KiB resident, {r['kernel_memory_kib']} KiB of the kernel's", flush=True)
    ten, hundred, thousand = (r["cpu_us_per_step"] for r in rows)
    low, high = (hundred - ten) / 90, (thousand - hundred) / 900
    print(f"one container more: {low:.1f} us between 10 and 100, {high:.1f} us between 100 and 1,000", flush=True)
    alone, crowded = crowd(bin_directory, tools, 100, 2000, seconds)
    print(f"  100 containers alone: {alone:.1f} us a step, beside 2,000 other processes: {crowded:.1f}")
    print(json.dumps({"scaling": rows, "us_per_container_10_to_100": round(low, 2),
                      "us_per_container_100_to_1000": round(high, 2),
                      "us_per_step_alone": round(alone, 1), "us_per_step_crowded": round(crowded, 1),
                      "crowded_ratio": round(crowded / alone, 3)}))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_directory", metavar="BIN_DIRECTORY")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--containers", type=int, default=220)
    parser.add_argument("--resolution", type=int, default=1)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--scaling", action="store_true")
    which.add_argument("--groups", action="store_true")
    options = parser.parse_args()
    binaries, seconds, containers = options.bin_directory, options.seconds, options.containers
    if os.geteuid() != 0:
        raise SystemExit("bench: making cgroups needs root")
    with tempfile.TemporaryDirectory() as directory:
        tools = {name: compile_c(name, directory) for name in ("load", "floor")}
        if options.scaling:
            return scale(binaries, tools, seconds)
        if options.groups:
            return by_group(binaries, tools, containers, seconds)
        result = measure(binaries, tools, containers, seconds, resolution=options.resolution)
    print(f"{containers} containers in {containers // 2} pods, {options.resolution} s steps, {seconds} s")
    for key, value in result.items():
        print(f"  {key:22} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
