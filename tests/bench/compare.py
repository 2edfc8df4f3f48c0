#!/usr/bin/env python3
"""Paired speed comparison of arklet with other engines on the same GGUF files, in turns.

    python3 tests/bench/compare.py -m MODEL.gguf [-m ...] --peer llama.cpp=BIN_DIR --peer ik_llama.cpp=BIN_DIR
                                   [--peer-args ik_llama.cpp='-rtr 1'] [--quiet COMMAND]
                                   [--arklet ./arklet] [--arklet-args '--kernels avx2'] [-r 5] [-t 2]
                                   [--tests pp512,tg128,tg64x32] [--json OUT] [--max-noise 0.05] [--wait 60]

BIN_DIR holds a peer's llama-bench and, for tests with several sequences, llama-batched-bench. A program that is not
there is left out with a note. A test is `ppN` (prefill of N tokens), `tgN` (N tokens decoded after an empty prompt) or
`tgNxB` (B sequences decode N tokens each together, after prompts of 32; tokens per second of all together).

The programs take turns (A B C A B C ...), once per repetition, so that a slow minute hits all of them. The table
gives medians, the range, and the median of the ratios arklet / peer within a turn. `noise` is the share of the machine's
time that other processes took during a program's runs: a turn above --max-noise is repeated, at most --retries times.
--peer-args gives a peer's llama-bench further flags. --quiet puts a command before every run, for instance one that stops
what else runs on the machine. Each run first waits, at most --wait seconds, until the machine has been idle for two seconds.
"""

import argparse
import datetime
import json
import os
import platform
import re
import resource
import shlex
import statistics
import subprocess
import sys
import time

BATCH_PROMPT = 32
QUIET = []  # a command that runs a command


def parse_test(word):
    found = re.fullmatch(r"(pp|tg)(\d+)(?:x(\d+))?", word)
    if not found or (found[1] == "pp" and found[3]):
        raise SystemExit(f"compare.py: test '{word}' is not ppN, tgN or tgNxB")
    return dict(name=word, kind=found[1], n=int(found[2]), seqs=int(found[3] or 1))


def busy_seconds():
    """CPU time of the whole machine that was not idle, and this process's children's part of it."""
    fields = [int(v) for v in open("/proc/stat").readline().split()[1:]]
    idle = fields[3] + fields[4]
    ticks = os.sysconf("SC_CLK_TCK")
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(fields[:8]) / ticks, (sum(fields[:8]) - idle) / ticks, use.ru_utime + use.ru_stime


def run(command):
    """Standard output and error of a command and the share of the machine that others used meanwhile."""
    total0, busy0, own0 = busy_seconds()
    done = subprocess.run([*QUIET, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    total1, busy1, own1 = busy_seconds()
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}: exit {done.returncode}: {done.stderr.strip()[-300:]}")
    noise = max(0.0, (busy1 - busy0) - (own1 - own0)) / max(total1 - total0, 1e-9)
    return done.stdout, done.stderr, noise


def wait_for_quiet(limit, max_noise):
    """Returns once two seconds have passed in which at most max_noise of the machine was busy, or after `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        total0, busy0, _ = busy_seconds()
        time.sleep(2)
        total1, busy1, _ = busy_seconds()
        if (busy1 - busy0) / max(total1 - total0, 1e-9) <= max_noise:
            return


class Peer:
    """llama.cpp and its forks."""

    def __init__(self, name, folder, threads, more):
        self.name, self.folder, self.threads, self.more = name, folder, str(threads), shlex.split(more)
        self.version = "?"

    def has(self, test):
        return os.access(os.path.join(self.folder, "llama-bench" if test["seqs"] == 1 else "llama-batched-bench"), os.X_OK)

    def measure(self, model, test):
        if test["seqs"] == 1:
            p, n = (test["n"], 0) if test["kind"] == "pp" else (0, test["n"])
            out, _, noise = run([os.path.join(self.folder, "llama-bench"), "-m", model, "-t", self.threads, "-p", str(p),
                              "-n", str(n), "-r", "1", "-o", "json", *self.more])
            row = json.loads(out[out.index("["):])[0]
            self.version = row.get("build_commit", "?")
            return row["avg_ts"], noise
        ctx = (BATCH_PROMPT + test["n"]) * test["seqs"]
        out, notes, noise = run([os.path.join(self.folder, "llama-batched-bench"), "-m", model, "-t", self.threads, "-c", str(ctx), "-b",
                          "2048", "-ub", "512", "-npp", str(BATCH_PROMPT), "-ntg", str(test["n"]), "-npl", str(test["seqs"])])
        rows = [line.split("|")[1:-1] for line in (out + notes).splitlines() if re.match(r"\|\s*\d", line)]
        if not rows:
            raise RuntimeError(f"{self.name}: llama-batched-bench printed no table")
        return float(rows[-1][7]), noise  # S_TG t/s


class Arklet:
    def __init__(self, path, threads, more):
        self.name, self.path, self.threads, self.more = "arklet", path, str(threads), shlex.split(more)
        self.version = "?"
        try:
            self.version = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                                          cwd=os.path.dirname(os.path.realpath(__file__))).stdout.strip() or "?"
        except OSError:
            pass

    def has(self, _):
        return os.access(self.path, os.X_OK)

    def measure(self, model, test):
        p, n = (test["n"], 0) if test["kind"] == "pp" else (0 if test["seqs"] == 1 else BATCH_PROMPT, test["n"])
        out, _, noise = run([self.path, "bench", "-m", model, "-p", str(p), "-n", str(n), "-b", str(test["seqs"]), "-r", "1", "-t",
                          self.threads, "-o", "json", *self.more])
        for row in json.loads(out):
            decodes = row["n_gen"] > 0
            if decodes == (test["kind"] == "tg") and (not decodes or row["n_seq"] == test["seqs"]):
                return row["avg_ts"], noise
        raise RuntimeError(f"arklet bench printed no row for {test['name']}")


def turns(programs, model, test, a):
    """{name: [tokens per second]} and the largest noise of each program."""
    speeds, noises = {p.name: [] for p in programs}, {p.name: [] for p in programs}
    for turn in range(a.reps):
        for attempt in range(a.retries + 1):
            got = {}
            for p in programs:
                wait_for_quiet(a.wait, a.max_noise)
                got[p.name] = p.measure(model, test)
            if max(n for _, n in got.values()) <= a.max_noise:
                break
        for name, (speed, noise) in got.items():
            speeds[name].append(speed)
            noises[name].append(noise)
        print(f"{os.path.basename(model)} {test['name']} {turn + 1}/{a.reps}: " +
              ", ".join(f"{k} {v[0]:.1f} (noise {v[1]:.0%})" for k, v in got.items()), file=sys.stderr)
    return speeds, noises


def cell(speeds, noises):
    mark = f", noise {max(noises):.0%}" if max(noises) > 0.05 else ""
    return f"{statistics.median(speeds):.1f} ({min(speeds):.1f}-{max(speeds):.1f}{mark})"


def machine():
    model = platform.processor() or platform.machine()
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("-m", "--model", action="append", required=True)
    ask.add_argument("--peer", action="append", default=[], metavar="NAME=BIN_DIR")
    ask.add_argument("--peer-args", action="append", default=[], metavar="NAME=ARGS")
    ask.add_argument("--quiet", default="", metavar="COMMAND")
    ask.add_argument("--arklet", default="./arklet")
    ask.add_argument("--arklet-args", default="")
    ask.add_argument("--tests", default="pp512,tg128,tg64x32")
    ask.add_argument("-r", "--reps", type=int, default=5)
    ask.add_argument("-t", "--threads", type=int, default=os.cpu_count())
    ask.add_argument("--max-noise", type=float, default=0.05)
    ask.add_argument("--retries", type=int, default=2)
    ask.add_argument("--wait", type=float, default=60)
    ask.add_argument("--json", help="also write every single figure here")
    a = ask.parse_args()
    QUIET.extend(shlex.split(a.quiet))
    more = dict(word.split("=", 1) for word in a.peer_args)
    tests = [parse_test(w) for w in a.tests.split(",")]
    everyone = [Arklet(a.arklet, a.threads, a.arklet_args)] + [Peer(*p.split("=", 1), a.threads, more.get(p.split("=")[0], "")) for p in a.peer]
    rows, raw = [], []
    for model in a.model:
        for test in tests:
            programs = [p for p in everyone if p.has(test)]
            for p in everyone:
                if p not in programs:
                    print(f"compare.py: {p.name}: no program for {test['name']}, left out", file=sys.stderr)
            try:
                speeds, noises = turns(programs, model, test, a)
            except RuntimeError as problem:
                print(f"compare.py: {problem}", file=sys.stderr)
                continue
            ratios = [f"{statistics.median(m / t for m, t in zip(speeds['arklet'], speeds[p.name])):.2f}"
                      if "arklet" in speeds and p.name in speeds else "" for p in everyone[1:]]
            cells = [cell(speeds[p.name], noises[p.name]) if p.name in speeds else "" for p in everyone]
            rows.append([os.path.basename(model).removesuffix(".gguf"), test["name"], *cells, *ratios])
            raw.append(dict(model=model, test=test["name"], speeds=speeds, noise=noises))
    print(f"{machine()}; {datetime.date.today()}; {a.threads} threads, {a.reps} turns; tokens per second, median (range)")
    print("versions: " + ", ".join(f"{p.name} {p.version}" for p in everyone if p.has(tests[0])) + "\n")
    head = ["model", "test", *[p.name for p in everyone], *[f"arklet / {p.name}" for p in everyone[1:]]]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    if a.json:
        json.dump(raw, open(a.json, "w"), indent=1)


if __name__ == "__main__":
    main()
