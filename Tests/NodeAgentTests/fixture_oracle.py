#!/usr/bin/env python3
"""What the agent must say of a captured tree, computed independently of it.

    fixture_oracle.py TREE               a directory with proc/, sys/ and cgroup/
    fixture_oracle.py PROC SYS CGROUP    the running machine's own

Prints one line per value, tab-separated: subject, metric, value. Subjects are `node`,
`pod UID`, `container UID ID`, `system PATH`, and for their parts `OWNER | interface NAME`,
`OWNER | disk NAME`, `OWNER | hugepages SIZE`. A last metric `start` is the start time in
milliseconds since the epoch, where processes tell it.
"""
import os
import re
import sys

PROC, SYS, CG = sys.argv[1:] if len(sys.argv) == 4 else (os.path.join(sys.argv[1], d) for d in ("proc", "sys", "cgroup"))
V2 = os.path.exists(os.path.join(CG, "cgroup.controllers"))
UNLIMITED = 2**62


def text(*path):
    try:
        with open(os.path.join(*path)) as f:
            return f.read()
    except (OSError, UnicodeDecodeError):
        return None


def keyed(*path):
    body = text(*path)
    if body is None:
        return None
    return {line.split()[0].rstrip(":"): int(line.split()[1]) for line in body.splitlines()}


def number(*path):
    body = text(*path)
    return None if body is None else int(body)


def limit(*path):
    body = text(*path)
    if body is None:
        return None
    body = body.strip()
    if body == "max":
        return -1
    return -1 if int(body) > UNLIMITED or int(body) < 0 else int(body)


out = {}


def put(subject, metric, value):
    if value is not None:
        out[(subject, metric)] = value


def count_cpus(body):
    total = 0
    for part in body.strip().split(","):
        if part:
            ends = part.split("-")
            total += int(ends[-1]) - int(ends[0]) + 1
    return total


def psi(subject, resource, *path):
    body = text(*path)
    if body is None:
        return
    totals = {line.split()[0]: int(line.split("total=")[1]) for line in body.splitlines()}
    put(subject, f"pressure/{resource}_some", totals["some"] * 1000)
    put(subject, f"pressure/{resource}_full", totals.get("full", 0) * 1000)


# ---- node ---------------------------------------------------------------------------------------
def node():
    stat = {line.split()[0]: line.split()[1:] for line in text(PROC, "stat").splitlines()}
    ticks = [int(v) * 10_000_000 for v in stat["cpu"]] + [0] * 10
    names = "user nice system idle iowait irq softirq steal guest guest_nice".split()
    for name, value in zip(names, ticks):
        put("node", f"cpu/{name}", value)
    put("node", "cpu/usage", ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6])
    put("node", "cpu/interrupts", int(stat["intr"][0]))
    put("node", "cpu/context_switches", int(stat["ctxt"][0]))
    put("node", "process/forks", int(stat["processes"][0]))
    put("node", "process/running", int(stat["procs_running"][0]))
    put("node", "process/blocked", int(stat["procs_blocked"][0]))

    load = text(PROC, "loadavg").split()
    for name, value in zip(("load/1m", "load/5m", "load/15m"), load):
        put("node", name, round(float(value) * 1000))
    running, total = load[3].split("/")
    put("node", "cpu/load", int(running) * 1000)
    put("node", "process/threads", int(total))
    put("node", "uptime", round(float(text(PROC, "uptime").split()[0]) * 1000))
    handles = text(PROC, "sys/fs/file-nr")
    if handles is not None:
        a, b, c = (int(v) for v in handles.split())
        put("node", "file_handles/allocated", a - b)
        put("node", "file_handles/limit", -1 if c > UNLIMITED else c)

    m = keyed(PROC, "meminfo")
    kib = {
        "total": "MemTotal", "free": "MemFree", "available": "MemAvailable", "buffers": "Buffers",
        "cache": "Cached", "active_anon": "Active(anon)", "inactive_anon": "Inactive(anon)",
        "active_file": "Active(file)", "inactive_file": "Inactive(file)", "unevictable": "Unevictable",
        "swap_total": "SwapTotal", "swap_free": "SwapFree", "dirty": "Dirty", "writeback": "Writeback",
        "rss": "AnonPages", "mapped_file": "Mapped", "shmem": "Shmem",
        "slab_reclaimable": "SReclaimable", "slab_unreclaimable": "SUnreclaim",
        "kernel_stack": "KernelStack", "page_tables": "PageTables", "committed": "Committed_AS",
        "anon_huge": "AnonHugePages",
    }
    for name, key in kib.items():
        if key in m:
            put("node", f"memory/{name}", m[key] * 1024)
    usage = m["MemTotal"] - m["MemFree"]
    put("node", "memory/usage", usage * 1024)
    put("node", "memory/working_set", (usage - m["Inactive(file)"]) * 1024)
    put("node", "memory/swap", (m["SwapTotal"] - m["SwapFree"]) * 1024)

    v = keyed(PROC, "vmstat")
    put("node", "memory/paged_in", v["pgpgin"] * 1024)
    put("node", "memory/paged_out", v["pgpgout"] * 1024)
    put("node", "memory/swapped_in", v["pswpin"])
    put("node", "memory/swapped_out", v["pswpout"])
    put("node", "memory/page_faults", v["pgfault"])
    put("node", "memory/major_page_faults", v["pgmajfault"])
    put("node", "memory/oom_kills", v["oom_kill"])
    put("node", "memory/workingset_refault_anon", v["workingset_refault_anon"])
    put("node", "memory/workingset_refault_file", v["workingset_refault_file"])
    put("node", "memory/page_scans", v["pgscan_anon"] + v["pgscan_file"])
    put("node", "memory/page_steals", v["pgsteal_anon"] + v["pgsteal_file"])
    for resource in ("cpu", "memory", "io"):
        psi("node", resource, PROC, "pressure", resource)


def sockets(net):
    body = text(net, "sockstat")
    rows = {line.split(":")[0]: line.split(":")[1].split() for line in body.splitlines()}
    rows = {k: dict(zip(r[::2], map(int, r[1::2]))) for k, r in rows.items()}
    put("node", "sockets/used", rows["sockets"]["used"])
    tcp, udp = rows["TCP"], rows["UDP"]
    for name, key in (("in_use", "inuse"), ("orphan", "orphan"), ("time_wait", "tw"), ("allocated", "alloc")):
        put("node", f"sockets/tcp_{name}", tcp[key])
    put("node", "sockets/tcp_memory", tcp["mem"] * 4096)
    put("node", "sockets/udp_in_use", udp["inuse"])
    put("node", "sockets/udp_memory", udp["mem"] * 4096)
    body = text(net, "sockstat6")
    if body is not None:
        rows = {line.split(":")[0]: line.split(":")[1].split() for line in body.splitlines()}
        put("node", "sockets/tcp6_in_use", int(rows["TCP6"][1]))
        put("node", "sockets/udp6_in_use", int(rows["UDP6"][1]))


NET = ("rx", "rx_packets", "rx_errors", "rx_dropped", "tx", "tx_packets", "tx_errors", "tx_dropped")


def interfaces(net):
    found = {}
    for line in text(net, "dev").splitlines()[2:]:
        name, rest = line.split(":")
        columns = [int(v) for v in rest.split()]
        found[name.strip()] = columns[0:4] + columns[8:12]
    return found


def node_network(net):
    sums = [0] * 8
    for name, counters in interfaces(net).items():
        if name == "lo" or re.match(r"veth|docker|nerdctl|cali|lxc", name):
            continue
        for metric, value in zip(NET, counters):
            put(f"node | interface {name}", f"network/{metric}", value)
        virtual = r"cni|flannel|cilium|ifb|dummy|kube-|nodelocaldns|tunl|vxlan|geneve|br-|virbr|bond|team"
        if not re.match(virtual, name) and "." not in name:
            sums = [a + b for a, b in zip(sums, counters)]
    for metric, value in zip(NET, sums):
        put("node", f"network/{metric}", value)


DISK = {
    "reads": 3, "reads_merged": 4, "read_bytes": 5, "read_time": 6, "writes": 7, "writes_merged": 8,
    "write_bytes": 9, "write_time": 10, "in_flight": 11, "time": 12, "time_weighted": 13,
    "discards": 14, "discard_bytes": 16,
}
device_names = {}


def disks():
    for line in text(PROC, "diskstats").splitlines():
        columns = line.split()
        device_names[f"{columns[0]}:{columns[1]}"] = columns[2]
        if re.match(r"(loop|ram|zram|fd|sr)\d", columns[2]):
            continue
        if re.match(r"((sd|vd|xvd|hd)[a-z]+\d+|(nvme\d+n|mmcblk|md)\d+p\d+)$", columns[2]):
            continue
        for name, index in DISK.items():
            value = int(columns[index]) * (512 if name.endswith("_bytes") else 1)
            put(f"node | disk {columns[2]}", f"disk/io_{name}", value)


# ---- cgroups ------------------------------------------------------------------------------------
def roots():
    if V2:
        return {"unified": CG}
    return {c: os.path.join(CG, c) for c in ("memory", "cpuacct", "cpu", "pids", "blkio", "cpuset", "hugetlb", "unified")}


ROOTS = roots()


def where(controller):
    return CG if V2 else ROOTS[controller]


def all_paths():
    found = set()
    for controller in ["unified"] if V2 else ["memory", "cpuacct", "cpu", "pids", "blkio"]:
        top = where(controller)
        for directory, names, _ in os.walk(top):
            found |= {os.path.relpath(os.path.join(directory, n), top) for n in names}
    return sorted(found)


def subject_of(path):
    """None for what is counted in what is above it."""
    last = path.split("/")[-1]
    pod = re.search(r"pod([0-9a-f]{8}[-_][0-9a-f_-]{27})", path)
    if pod:
        uid = pod.group(1).replace("_", "-")
        rest = path[pod.end():].removeprefix(".slice").strip("/")
        if not rest:
            return f"pod {uid}"
        container = re.fullmatch(r"(?:cri-containerd-|crio-|docker-)?([0-9a-f]{64})(\.scope)?", rest)
        return f"container {uid} {container.group(1)}" if container else None
    return f"system {path}" if not last.endswith(".mount") else None


def processes(path):
    for top in ROOTS.values():
        body = text(top, path, "cgroup.procs")
        if body:
            return [int(p) for p in body.split()]
    return []


def start_of(path, paths, btime):
    times = []
    for other in paths:
        if other == path or other.startswith(path + "/"):
            for pid in processes(other):
                body = text(PROC, str(pid), "stat")
                if body:
                    times.append(int(body.rsplit(")", 1)[1].split()[19]))
    return btime * 1000 + min(times) * 10 if times else None


def cgroup_v1(s, path, is_pod, is_group):
    acct, cpu, mem = (os.path.join(where(c), path) for c in ("cpuacct", "cpu", "memory"))
    put(s, "cpu/usage", number(acct, "cpuacct.usage"))
    ticks = keyed(acct, "cpuacct.stat")
    if ticks:
        put(s, "cpu/user", ticks["user"] * 10_000_000)
        put(s, "cpu/system", ticks["system"] * 10_000_000)
    stat = keyed(cpu, "cpu.stat")
    if stat:
        put(s, "cpu/cfs_periods", stat["nr_periods"])
        put(s, "cpu/cfs_throttled_periods", stat["nr_throttled"])
        put(s, "cpu/cfs_throttled_time", stat["throttled_time"])
        put(s, "cpu/cfs_burst_periods", stat.get("nr_bursts"))
        put(s, "cpu/cfs_burst_time", stat.get("burst_time"))
    put(s, "cpu/shares", number(cpu, "cpu.shares"))
    quota = number(cpu, "cpu.cfs_quota_us")
    if quota is not None:
        put(s, "cpu/cfs_quota", quota * 1000 if quota >= 0 else -1)
        put(s, "cpu/cfs_period", number(cpu, "cpu.cfs_period_us") * 1000)
    cpus = text(where("cpuset"), path, "cpuset.effective_cpus")
    if cpus is not None:
        put(s, "cpu/cpuset_cores", count_cpus(cpus))
    usage = number(mem, "memory.usage_in_bytes")
    put(s, "memory/usage", usage)
    m = keyed(mem, "memory.stat")
    if m:
        put(s, "memory/working_set", max(0, usage - m["total_inactive_file"]))
        plain = "rss cache mapped_file swap shmem dirty writeback active_anon inactive_anon active_file inactive_file unevictable"
        for name in plain.split():
            put(s, f"memory/{name}", m.get("total_" + name))
        put(s, "memory/anon_huge", m["total_rss_huge"])
        put(s, "memory/page_faults", m["total_pgfault"])
        put(s, "memory/major_page_faults", m["total_pgmajfault"])
        for kind in ("anon", "file"):
            put(s, f"memory/workingset_refault_{kind}", m.get(f"total_workingset_refault_{kind}"))
    if not is_pod:
        put(s, "memory/max_usage", number(mem, "memory.max_usage_in_bytes"))
        put(s, "memory/failcnt", number(mem, "memory.failcnt"))
        put(s, "memory/kernel", number(mem, "memory.kmem.usage_in_bytes"))
    kills = keyed(mem, "memory.oom_control")
    if kills and not is_group:
        total = kills["oom_kill"]
        if is_pod:
            for child in os.listdir(mem):
                below = keyed(mem, child, "memory.oom_control")
                total += below["oom_kill"] if below else 0
        put(s, "memory/oom_kills", total)
    top = limit(mem, "memory.limit_in_bytes")
    both = limit(mem, "memory.memsw.limit_in_bytes")
    put(s, "memory/cgroup_limit", top)
    if both is not None:
        put(s, "memory/swap_limit", both - top if both >= 0 and top >= 0 else -1)
    put(s, "memory/cgroup_reservation", limit(mem, "memory.soft_limit_in_bytes"))
    io = {}
    for file, suffix in (("service_bytes", "bytes"), ("serviced", "s")):
        body = text(where("blkio"), path, f"blkio.throttle.io_{file}_recursive") or ""
        for line in body.splitlines():
            words = line.split()
            if len(words) == 3 and words[1] in ("Read", "Write", "Discard"):
                key = words[1].lower() + ("_bytes" if suffix == "bytes" else "s")
                io.setdefault(words[0], {})[key] = int(words[2])
    put_io(s, io)
    put(s, "process/threads", number(where("pids"), path, "pids.current"))
    put(s, "process/threads_limit", limit(where("pids"), path, "pids.max"))
    if not is_pod:
        put(s, "process/count", len((text(mem, "cgroup.procs") or "").split()))


def put_io(s, io):
    for device, values in io.items():
        name = device_names.get(device, device)
        for key in ("read_bytes", "write_bytes", "reads", "writes", "discard_bytes", "discards"):
            put(f"{s} | disk {name}", f"disk/io_{key}", values.get(key, 0))


def cgroup_v2(s, path, is_pod):
    here = os.path.join(CG, path)
    c = keyed(here, "cpu.stat")
    for name, key, scale in (
        ("usage", "usage_usec", 1000), ("user", "user_usec", 1000), ("system", "system_usec", 1000),
        ("cfs_periods", "nr_periods", 1), ("cfs_throttled_periods", "nr_throttled", 1),
        ("cfs_throttled_time", "throttled_usec", 1000), ("cfs_burst_periods", "nr_bursts", 1),
        ("cfs_burst_time", "burst_usec", 1000),
    ):
        if key in c:
            put(s, f"cpu/{name}", c[key] * scale)
    weight = number(here, "cpu.weight")
    if weight is not None:
        put(s, "cpu/shares", 2 + (weight - 1) * 262142 // 9999)
        quota, period = text(here, "cpu.max").split()
        put(s, "cpu/cfs_quota", -1 if quota == "max" else int(quota) * 1000)
        put(s, "cpu/cfs_period", int(period) * 1000)
    cpus = text(here, "cpuset.cpus.effective")
    if cpus is not None:
        put(s, "cpu/cpuset_cores", count_cpus(cpus))
    usage = number(here, "memory.current")
    put(s, "memory/usage", usage)
    m = keyed(here, "memory.stat")
    if m and usage is not None:
        put(s, "memory/working_set", max(0, usage - m["inactive_file"]))
        for name, key in (
            ("rss", "anon"), ("cache", "file"), ("mapped_file", "file_mapped"), ("anon_huge", "anon_thp"),
            ("shmem", "shmem"), ("dirty", "file_dirty"), ("writeback", "file_writeback"),
            ("active_anon", "active_anon"), ("inactive_anon", "inactive_anon"),
            ("active_file", "active_file"), ("inactive_file", "inactive_file"),
            ("unevictable", "unevictable"), ("kernel", "kernel"), ("kernel_stack", "kernel_stack"),
            ("page_tables", "pagetables"), ("sockets", "sock"),
            ("slab_reclaimable", "slab_reclaimable"), ("slab_unreclaimable", "slab_unreclaimable"),
            ("page_faults", "pgfault"), ("major_page_faults", "pgmajfault"), ("page_scans", "pgscan"),
            ("page_steals", "pgsteal"), ("workingset_refault_anon", "workingset_refault_anon"),
            ("workingset_refault_file", "workingset_refault_file"),
        ):
            put(s, f"memory/{name}", m.get(key))
    put(s, "memory/swap", number(here, "memory.swap.current"))
    put(s, "memory/max_usage", number(here, "memory.peak"))
    events = keyed(here, "memory.events")
    if events:
        put(s, "memory/events_high", events["high"])
        put(s, "memory/events_max", events["max"])
        put(s, "memory/oom_kills", events["oom_kill"])
    put(s, "memory/cgroup_limit", limit(here, "memory.max"))
    put(s, "memory/swap_limit", limit(here, "memory.swap.max"))
    put(s, "memory/cgroup_reservation", limit(here, "memory.min"))
    names = dict(rbytes="read_bytes", wbytes="write_bytes", rios="reads", wios="writes", dbytes="discard_bytes", dios="discards")
    io = {}
    for line in (text(here, "io.stat") or "").splitlines():
        words = line.split()
        if len(words) > 1:
            fields = dict(w.split("=") for w in words[1:])
            io[words[0]] = {names[k]: int(v) for k, v in fields.items() if k in names}
    put_io(s, io)
    for resource in ("cpu", "memory", "io"):
        psi(s, resource, here, f"{resource}.pressure")
    put(s, "process/threads", number(here, "pids.current"))
    put(s, "process/threads_limit", limit(here, "pids.max"))
    if not is_pod:
        put(s, "process/count", len((text(here, "cgroup.procs") or "").split()))


def hugepages(s, path):
    directory = os.path.join(SYS, "kernel/mm/hugepages")
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
        kb = int(re.search(r"\d+", name).group())
        size = f"{kb >> 20}GB" if kb >= 1 << 20 else f"{kb >> 10}MB"
        here = os.path.join(where("hugetlb"), path)
        key = f"{s} | hugepages {size}"
        if V2:
            put(key, "hugetlb/usage", number(here, f"hugetlb.{size}.current"))
            events = keyed(here, f"hugetlb.{size}.events")
            put(key, "hugetlb/failcnt", events and events["max"])
            put(key, "hugetlb/limit", limit(here, f"hugetlb.{size}.max"))
        else:
            put(key, "hugetlb/usage", number(here, f"hugetlb.{size}.usage_in_bytes"))
            put(key, "hugetlb/max_usage", number(here, f"hugetlb.{size}.max_usage_in_bytes"))
            put(key, "hugetlb/failcnt", number(here, f"hugetlb.{size}.failcnt"))
            put(key, "hugetlb/limit", limit(here, f"hugetlb.{size}.limit_in_bytes"))


def pod_networks(pods, paths, host_net):
    def same_namespace(a, b):
        try:
            return os.readlink(os.path.join(os.path.dirname(a), "ns/net")) == os.readlink(os.path.join(os.path.dirname(b), "ns/net"))
        except OSError:
            return os.stat(os.path.join(a, "dev")).st_ino == os.stat(os.path.join(b, "dev")).st_ino

    for path, s in pods.items():
        for child in sorted(p for p in paths if p.startswith(path + "/") and "/" not in p[len(path) + 1:]):
            pids = processes(child) if subject_of(child) else []
            net = pids and os.path.join(PROC, str(pids[0]), "net")
            if not net or not os.path.exists(os.path.join(net, "dev")):
                continue
            if not same_namespace(net, host_net):
                for name, counters in interfaces(net).items():
                    if name != "lo":
                        for metric, value in zip(NET, counters):
                            put(f"{s} | interface {name}", f"network/{metric}", value)
            break


def main():
    net = os.path.join(PROC, "1/net")
    if not os.path.exists(os.path.join(net, "dev")):
        net = os.path.join(PROC, "self/net")
    node()
    sockets(net)
    node_network(net)
    disks()
    btime = int(re.search(r"btime (\d+)", text(PROC, "stat")).group(1))
    paths = all_paths()
    pods = {}
    for path in paths:
        s = subject_of(path)
        if s is None:
            continue
        is_pod = s.startswith("pod ")
        if is_pod:
            pods[path] = s
        if V2:
            cgroup_v2(s, path, is_pod)
        else:
            is_group = re.fullmatch(r"kubepods(/burstable|/besteffort)?", path) is not None
            cgroup_v1(s, path, is_pod, is_group)
        hugepages(s, path)
        put(s, "start", start_of(path, paths, btime))
    pod_networks(pods, paths, net)
    for (subject, metric), value in sorted(out.items()):
        print(f"{subject}\t{metric}\t{value}")


main()
