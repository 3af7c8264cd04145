#!/usr/bin/env python3
"""What answers cost while a simulated fleet pushes: `make bench-api`.

Starts one aggregator and `heapwire-fleet simulate` on loopback, waits until every pod is there under
its name, and asks:

  series   one pod's series over all history, CPU rate and working set, pods of the whole fleet in turn:
           one connection (wrk), p50 and p99.
  toplist  what `kubectl top pod -A` asks for, all pods: from the request to the first and to the last
           byte, read by a client that does nothing else with them, and the aggregator's CPU time, as
           JSON, as JSON with gzip and as protobuf; median of the runs, which are spread over steps.
  workload the sum over the pods of one stateful set (125 of 150,000, each on a node of its own), all
           history and the newest cycle: median, and the aggregator's CPU time.
  small    model lists with small answers, as many as it gives over 16 connections (wrk): requests a
           second of the aggregator's CPU time, the fleet's part (measured before) taken away.

NODES=, STEP=, PODS=, CONTAINERS=, WARM_UP= (seconds), SECONDS= (of each load) choose the size.
The last line is one JSON object. Both processes are stopped at the end.
"""

import http.client
import json
import os
import random
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TICKS = os.sysconf("SC_CLK_TCK")


def setting(name, default):
    return type(default)(os.environ.get(name) or default)


NODES = setting("NODES", 1000)
STEP = setting("STEP", "10s")
PODS = setting("PODS", 30)
CONTAINERS = setting("CONTAINERS", 60)
WARM_UP = setting("WARM_UP", 60)
LOAD = setting("BENCH_SECONDS", 10)
PORT = setting("PORT", 18182)
INGEST = setting("INGEST_PORT", 18190)


def cpu_seconds(pid):
    """User and system time of all threads, seconds."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def get(path, headers=None, limit=120):
    """Status, body bytes and seconds from the request to the last byte."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=limit)
    try:
        begin = time.monotonic()
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, body, time.monotonic() - begin
    finally:
        connection.close()


def download(path, headers, limit=120):
    """Bytes of an answer, and seconds from the request to its first and to its last byte."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    room = memoryview(bytearray(1 << 20))
    with socket.create_connection(("127.0.0.1", PORT), timeout=limit) as connection:
        begin = time.monotonic()
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n".encode())
        count = connection.recv_into(room)
        first = time.monotonic() - begin
        head = bytes(room[:count]).split(b"\r\n\r\n")[0].lower()
        if not head.startswith(b"http/1.1 200 ") or b"\r\ntransfer-encoding: chunked" not in head:
            sys.exit(f"{path} answered {head}, not 200 in pieces")
        size, end = count, b""
        while count:
            end = (end + bytes(room[max(0, count - 8):count]))[-8:]
            count = connection.recv_into(room)
            size += count
        last = time.monotonic() - begin
    if not end.endswith(b"0\r\n\r\n"):
        sys.exit(f"{path}: not the whole answer came")
    return size, first, last


def wait_for(what, seconds, condition, process):
    """Polls; ends the benchmark when a process is gone or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"a program ended while waiting for {what}")
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(1)
    sys.exit(f"{what}: not within {seconds} s")


def pod_names(path):
    """Namespace and name of every pod in a PodList that PodListWriter wrote, one pod a line."""
    names = []
    with open(path) as file:
        for line in file:
            if line.startswith('{"metadata"'):
                metadata = json.loads(line.rstrip().removesuffix("]}").rstrip(","))["metadata"]
                names.append((metadata["namespace"], metadata["name"]))
    return names


def wrk(paths, connections, folder):
    """Loads the paths; the result line of series.lua."""
    listing = os.path.join(folder, "paths")
    with open(listing, "w") as file:
        file.write("\n".join(paths) + "\n")
    output = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{LOAD}s", "-s", os.path.join(HERE, "series.lua"),
         f"http://127.0.0.1:{PORT}"],
        env={**os.environ, "PATHS": listing}, check=True, capture_output=True, text=True).stdout
    result = json.loads(output.strip().splitlines()[-1])
    if result["failed"]:
        sys.exit(f"{result['failed']} of {result['requests']} requests failed:\n{output}")
    return result


def measure_toplist(pid, idle_cpu, pods):
    path = "/apis/metrics.k8s.io/v1beta1/pods"
    forms = {
        "json": {},
        "gzip": {"Accept-Encoding": "gzip"},
        "protobuf": {"Accept": "application/vnd.kubernetes.protobuf"},
    }
    status, body, _ = get(path)
    if status != 200 or body.count(b'"timestamp"') != pods:
        sys.exit(f"{status}, {body.count(b'timestamp')} pods in the list, {pods} run")
    results = {}
    for form, headers in forms.items():
        firsts, lasts, cpu, size = [], [], [], 0
        for _ in range(11):
            before, begin = cpu_seconds(pid), time.monotonic()
            size, first, last = download(path, headers)
            elapsed = time.monotonic() - begin
            firsts.append(first * 1e3)
            lasts.append(last * 1e3)
            cpu.append((cpu_seconds(pid) - before - idle_cpu * elapsed) * 1e3)
            # Not always in the same part of a step.
            time.sleep(0.7)
        results[form] = (statistics.median(lasts), statistics.median(cpu), size, statistics.median(firsts))
        print(f"toplist {form:9} {results[form][0]:8.1f} ms (first byte {results[form][3]:.1f})  "
              f"CPU {results[form][1]:8.1f} ms  {size / 1e6:6.1f} MB", flush=True)
    return results


def measure_workload(pid, idle_cpu, names):
    """Pods are called app-A-NODE-SERIAL and belong to the stateful set app-A of their namespace."""
    results = {}
    for span, query in (("window", ""), ("newest", "?start=%s")):
        times, cpu = [], []
        for namespace, pod in names[:15]:
            owner = "-".join(pod.split("-")[:2])
            start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 20))
            before, begin = cpu_seconds(pid), time.monotonic()
            status, body, seconds = get(
                f"/api/v1/model/namespaces/{namespace}/workloads/statefulset/{owner}/metrics/"
                "cpu/usage_rate" + (query and query % start))
            if status != 200 or b"value" not in body:
                sys.exit(f"{namespace}/{owner} answered {status} {body[:200]}")
            elapsed = time.monotonic() - begin
            times.append(seconds * 1e3)
            cpu.append((cpu_seconds(pid) - before - idle_cpu * elapsed) * 1e3)
        results[span] = statistics.median(times)
        print(f"workload {span} {results[span]:8.1f} ms  CPU {statistics.mean(cpu):8.1f} ms", flush=True)
    return results


def main():
    binaries = sys.argv[1]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        try:
            run(binaries, folder, processes)
        finally:
            for process in reversed(processes):
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def run(binaries, folder, processes):
    listing = os.path.join(folder, "pods.json")
    with open(listing, "w") as file:
        file.write('{"kind":"PodList","apiVersion":"v1","items":[]}')
    aggregator = subprocess.Popen(
        [f"{binaries}/heapwire-aggregator", f"--port={PORT}", f"--ingest-port={INGEST}",
         f"--metric-resolution={STEP}", f"--pods={listing}", "--max-connections=60000",
         "--max-nodes=60000", "--log-level=warning"])
    processes.append(aggregator)
    wait_for("the aggregator", 30, lambda: get("/livez")[0] == 200, aggregator)
    fleet = subprocess.Popen(
        [f"{binaries}/heapwire-fleet", "simulate", f"--aggregator=127.0.0.1:{INGEST}",
         f"--nodes={NODES}", f"--pods={PODS}", f"--containers={CONTAINERS}",
         f"--resolution={STEP}", "--duration=0", f"--write-pods={listing}",
         "--aggregator-has-pods"],
        stdout=subprocess.DEVNULL)
    processes.append(fleet)
    pods = NODES * PODS

    def all_there():
        status, body, _ = get("/apis/metrics.k8s.io/v1beta1/pods")
        return status == 200 and body.count(b'"timestamp"') == pods

    wait_for(f"{pods} pods", 300, all_there, fleet)
    print(f"{pods} pods are there; filling the window for {WARM_UP} s", flush=True)
    time.sleep(WARM_UP)

    before, begin = cpu_seconds(aggregator.pid), time.monotonic()
    time.sleep(LOAD)
    idle_cpu = (cpu_seconds(aggregator.pid) - before) / (time.monotonic() - begin)
    print(f"ingest alone {idle_cpu:.3f} cores", flush=True)

    names = pod_names(listing)
    random.Random(1).shuffle(names)
    series = wrk(
        [f"/api/v1/model/namespaces/{namespace}/pods/{name}/metrics/{metric}"
         for namespace, name in names[:2000] for metric in ("cpu/usage_rate", "memory/working_set")],
        1, folder)
    print(f"series p50 {series['p50_ms']:.3f} ms p99 {series['p99_ms']:.3f} ms", flush=True)

    toplist = measure_toplist(aggregator.pid, idle_cpu, pods)

    workload = measure_workload(aggregator.pid, idle_cpu, names)

    small = {}
    for name, path in (("metrics", "/api/v1/model/metrics/"),
                       ("pod", "/api/v1/model/namespaces/%s/pods/%s/metrics" % names[0]),
                       ("healthz", "/healthz")):
        before, begin = cpu_seconds(aggregator.pid), time.monotonic()
        result = wrk([path], 16, folder)
        elapsed = time.monotonic() - begin
        cpu = cpu_seconds(aggregator.pid) - before - idle_cpu * elapsed
        small[name] = result["requests"] / cpu
        print(f"small {path}: {result['requests'] / result['seconds']:.0f} requests/s, "
              f"{small[name]:.0f} a second of CPU", flush=True)

    with open(f"/proc/{aggregator.pid}/status") as file:
        rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    print(json.dumps({
        "nodes": NODES, "pods": pods, "step": STEP,
        "ingest_cores": round(idle_cpu, 4),
        "series_p50_ms": series["p50_ms"], "series_p99_ms": series["p99_ms"],
        "toplist_ms": round(toplist["json"][0], 1),
        "toplist_first_byte_ms": round(toplist["json"][3], 1),
        "toplist_cpu_ms": round(toplist["json"][1], 1),
        "toplist_gzip_ms": round(toplist["gzip"][0], 1),
        "toplist_protobuf_ms": round(toplist["protobuf"][0], 1),
        "toplist_bytes": toplist["json"][2],
        "workload_ms": round(workload["window"], 1),
        "workload_newest_ms": round(workload["newest"], 1),
        "small_requests_per_second_per_core": round(small["metrics"]),
        "pod_metric_names_per_second_per_core": round(small["pod"]),
        "healthz_per_second_per_core": round(small["healthz"]),
        "aggregator_rss_mib": rss // 1024,
    }))


if __name__ == "__main__":
    main()
