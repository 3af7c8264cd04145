"""An aggregator and a simulated fleet as child processes, for scripts that watch both."""

import atexit
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import time


def setting(name, default):
    """An environment variable, or the default; a number where that is one."""
    return type(default)(os.environ.get(name) or default)


def binaries():
    """Where the release binaries are; BIN= says so, else they are built."""
    folder = os.environ.get("BIN")
    if folder:
        return folder
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    for product in ["heapwire-aggregator", "heapwire-fleet"]:
        subprocess.run(["swift", "build", "-c", "release", "--product", product], check=True, stdout=sys.stderr)
    shown = subprocess.run(["swift", "build", "-c", "release", "--show-bin-path"], check=True, capture_output=True, text=True)
    return shown.stdout.strip()


def end(process):
    """Nothing stays behind, however the script ends."""
    if process.poll() is None:
        process.kill()
        process.wait()


class Aggregator:
    """`enter` is called in the child before it becomes the aggregator. `wait`: until agents may come."""

    def __init__(self, bin, *flags, enter=None, port=18282, ingest_port=18290, wait=True,
                 log_level="warning"):
        self.port, self.ingest_port = setting("PORT", port), setting("INGEST_PORT", ingest_port)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

        def prepare():
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            if enter:
                enter()

        self.process = subprocess.Popen(
            [f"{bin}/heapwire-aggregator", f"--port={self.port}", f"--ingest-port={self.ingest_port}",
             "--max-connections=60000", "--max-nodes=60000", f"--log-level={log_level}", *flags],
            preexec_fn=prepare, stdout=sys.stderr)
        atexit.register(end, self.process)
        self.pid = self.process.pid
        for _ in range(300 if wait else 0):
            if self.listens():
                return
            time.sleep(0.1)
        if wait:
            sys.exit("the aggregator does not listen")

    def listens(self):
        if self.process.poll() is not None:
            sys.exit("the aggregator did not start")
        try:
            socket.create_connection(("127.0.0.1", self.ingest_port), 1).close()
            return True
        except OSError:
            return False

    def is_running(self):
        return self.process.poll() is None

    def memory_mib(self):
        """Resident memory, and the most there was; nothing of a process that has ended."""
        fields = {}
        for line in open(f"/proc/{self.pid}/status"):
            name, _, value = line.partition(":")
            fields[name] = value.split()
        return tuple(float(fields.get(name, ["0"])[0]) / 1024 for name in ["VmRSS", "VmHWM"])

    def cpu_seconds(self):
        fields = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metrics(self, quiet=False):
        """Samples of /metrics by name with labels; empty where it does not answer in time."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            if not quiet:
                print(f"/metrics did not answer: {error}", file=sys.stderr)
            return {}
        samples = (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
        return {name: float(value) for name, value in samples}

    def stop(self):
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


class Fleet:
    def __init__(self, bin, aggregator, **flags):
        words = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        self.process = subprocess.Popen(
            [f"{bin}/heapwire-fleet", "simulate", f"--aggregator=127.0.0.1:{aggregator.ingest_port}",
             f"--watch-pid={aggregator.pid}", *words],
            stdout=subprocess.PIPE, text=True)
        atexit.register(end, self.process)

    def is_running(self):
        return self.process.poll() is None

    def stop(self):
        """Returns its last line, the result."""
        if self.is_running():
            self.process.send_signal(signal.SIGINT)
        lines = self.process.stdout.read().splitlines()
        self.process.wait(timeout=60)
        return lines[-1] if lines else "{}"
