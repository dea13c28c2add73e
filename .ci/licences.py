"""Prints the licences of all that is linked into the program: each crate with its licence, and the texts that lie in it.

    licences.py [--target TRIPLE]

Asks cargo for the crates of the lock file that the program is linked from (no build or test dependencies), and reads
the licence and notice files from their sources. A crate without a text is named as such.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

NAMES = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


def cargo(*args):
    return subprocess.run(["cargo", *args], check=True, capture_output=True, text=True).stdout


def linked(target):
    """Names and versions of what is linked."""
    more = ["--target", target] if target else []
    tree = cargo("tree", "--locked", "-e", "normal,no-proc-macro", "--prefix", "none", "-f", "{p}", *more)
    found = {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}
    return {(name, version.removeprefix("v")) for name, version in found}


def texts(package):
    """Licence files of a crate, by name."""
    folder = pathlib.Path(package["manifest_path"]).parent
    files = [path for path in folder.iterdir() if path.is_file() and NAMES.match(path.name)]
    named = folder / package["license_file"] if package.get("license_file") else None
    if named and named.is_file() and named not in files:
        files.append(named)
    return [path.read_text(errors="replace").strip() for path in sorted(files)]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--target")
    wanted = linked(arguments.parse_args().target)
    packages = json.loads(cargo("metadata", "--locked", "--format-version", "1"))["packages"]
    packages = [p for p in packages if (p["name"], p["version"]) in wanted and p["source"]]
    # One text stands once, with all crates that have it.
    users, lacking = {}, []
    print("Third-party software in this program\n")
    for package in sorted(packages, key=lambda p: (p["name"], p["version"])):
        name = f"{package['name']} {package['version']}"
        print(f"{name}: {package['license'] or 'see its text'} ({package['repository'] or 'no address'})")
        found = texts(package)
        if not found:
            lacking.append(name)
        for text in found:
            users.setdefault(text, []).append(name)
    if lacking:
        print(f"\nWithout a text of their own: {', '.join(lacking)}")
    for text, names in sorted(users.items(), key=lambda entry: entry[1]):
        print(f"\n{'=' * 78}\n{', '.join(names)}\n{'-' * 78}\n{text}")
    print(f"{len(packages)} crates, {len(users)} texts, {len(lacking)} without", file=sys.stderr)


main()
