"""Runs over one lake on disk, and in stores near and far, in turn: see latency.sh."""

import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import boto3
import botocore

HERE = pathlib.Path(__file__).parent
KEY, SECRET = "bench", "a-secret-of-the-bench-only"
AS_OF = "2019-11-06T00:00:00Z"
program, lake = sys.argv[1], pathlib.Path(sys.argv[2])
delay = float(os.environ.get("AFTERSCOPE_LATENCY", "0.02"))
rounds = int(os.environ.get("AFTERSCOPE_BENCH_RUNS", "3"))
# One half of the cores is the program's, the other the servers', as if each had a machine.
cores = sorted(os.sched_getaffinity(0))
ours, theirs = set(cores[: max(1, len(cores) // 2)]), set(cores[len(cores) // 2 :])
servers = []


def free_port():
    """SeaweedFS takes the port that is 10,000 above for itself, too."""
    while True:
        with socket.socket() as own:
            own.bind(("127.0.0.1", 0))
            port = own.getsockname()[1]
        if port + 10_000 < 1 << 16:
            return port


def listens(port):
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
    sys.exit(f"nothing listens on port {port}")


def seaweed(folder):
    """SeaweedFS with one identity, and the lake in it; a port of its own for each time that requests are to take."""
    credentials = [{"accessKey": KEY, "secretKey": SECRET}]
    identity = {"name": KEY, "credentials": credentials, "actions": ["Admin", "Read", "List", "Write"]}
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    port = free_port()
    weed = pathlib.Path(sys.executable).parent / "weed"
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]
    command += [f"-s3.port={port}", f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-{part}.port={free_port()}" for part in ("master", "volume", "filer")]
    command += ["-master.volumeSizeLimitMB=256", "-volume.max=100", "-master.telemetry=false"]
    # Of a piece it reads more than is asked for; with pieces of 4 MB, its default, it takes a fifth more processor time.
    command += ["-filer.maxMB=1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    serve(port, command, **quiet)
    upload(port)
    return lambda seconds: helper("relay.py", port, seconds)


def files(_):
    """The lake's files as objects, sent by the kernel; a port for each time that requests are to take."""
    return lambda seconds: helper("objects.py", lake, seconds)


def serve(port, command, **more):
    servers.append(subprocess.Popen(command, **more, preexec_fn=lambda: os.sched_setaffinity(0, theirs)))
    listens(port)


def helper(script, *more):
    """The port of one of the servers beside this file."""
    port = free_port()
    serve(port, [sys.executable, HERE / script, *map(str, (port, *more))])
    return port


def cpu_of(process):
    """Seconds of processor time so far."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def upload(port):
    settings = botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 10})
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=settings,
    )
    for _ in range(100):
        try:
            client.create_bucket(Bucket="lake")
            break
        except botocore.exceptions.ClientError:
            time.sleep(0.2)
    for path in sorted((lake / "logs").rglob("*.parquet")):
        client.upload_file(str(path), "lake", str(path.relative_to(lake)))


def by(port):
    """What is set so that the log is read from the server, by this port."""
    told = ["source.0.url=s3://lake/logs/", f"source.0.store.endpoint=http://127.0.0.1:{port}"]
    return [word for key in (*told, "source.0.store.region=us-east-1") for word in ("--set", key)]


def asked(said):
    """What the program says that it asked of the log's store."""
    told = [line.split("s3://lake: ", 1)[1] for line in said.splitlines() if "s3://lake: " in line]
    return told[0] if told else "no requests"


def run(name, more):
    out = lake / "latency-out"
    shutil.rmtree(out, ignore_errors=True)
    command = [program, "run", "--config", lake / "afterscope.toml", "--as-of", AS_OF, "--output", out]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    before = sum(map(cpu_of, servers))
    start = time.time()
    with tempfile.TemporaryFile("w+") as messages:
        child = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=messages, env=environment,
                                 preexec_fn=lambda: os.sched_setaffinity(0, ours))
        totals = child.stdout.read()
        _, status, use = os.wait4(child.pid, 0)
        wall = time.time() - start
        messages.seek(0)
        said = messages.read()
    if status:
        sys.exit(f"failed ({status}): {command}\n{said}")
    cpu, peak = use.ru_utime + use.ru_stime, use.ru_maxrss / 1024
    print(
        f"{name:15} wall {wall:6.2f} s  cpu {cpu:6.2f} s  peak {peak:4.0f} MB"
        f"  servers' cpu {sum(map(cpu_of, servers)) - before:5.2f} s  {asked(said)}",
        flush=True,
    )
    shutil.rmtree(out)
    return wall, json.loads(totals.splitlines()[-1])["totals"]


def main():
    folder = pathlib.Path(tempfile.mkdtemp())
    stores = {"files": files, "SeaweedFS": seaweed}
    try:
        ways = {"disk": []}
        for name, start in stores.items():
            port = start(folder)
            ways[name] = by(port(0))
            ways[f"{name}, far"] = by(port(delay))
        walls = {name: [] for name in ways}
        for _ in range(rounds):
            totals = []
            for name, more in ways.items():
                wall, told = run(name, more)
                walls[name].append(wall)
                totals.append(told)
            if any(told != totals[0] for told in totals):
                sys.exit(f"the totals differ: {totals}")
    finally:
        for process in reversed(servers):
            process.terminate()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
    median = {name: statistics.median(found) for name, found in walls.items()}
    for name, wall in median.items():
        print(f"median  {name:15} {wall:6.2f} s  to disk {wall / median['disk']:.2f}")


main()
