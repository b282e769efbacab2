"""The files of the tree, read once, and the tables of layers.txt."""

import dataclasses
import fnmatch
import pathlib
import subprocess

IGNORED_FOLDERS = {".git", "build", ".cache", "__pycache__", "drover-state"}


@dataclasses.dataclass
class Layers:
    """See the comments in layers.txt."""
    layers: dict  # Folder -> set of folders and headers.
    pure: list  # Stems.
    confined: list  # (library, header patterns, file patterns).


def parse_layers(text):
    result, section = Layers({}, [], []), None
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        if line.startswith("["):
            section = line.strip("[]")
        elif section == "pure":
            result.pure.append(line)
        else:
            name, _, rest = line.partition(":")
            if section == "layers":
                result.layers[name] = set(rest.split())
            else:
                headers, _, files = rest.partition("->")
                result.confined.append((name, headers.split(), files.split()))
    return result


def matches(path, patterns):
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


class Tree:
    """Paths are relative to the root, with slashes. Only text of our own files is read."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.tracked = self._git("ls-files", "-z")
        others = self._git("ls-files", "-z", "--others", "--exclude-standard")
        paths = self.tracked + others if self.tracked else self._walk()
        self.paths = sorted(p for p in set(paths) if (self.root / p).is_file())
        self.texts = {}

    def _git(self, *arguments):
        try:
            done = subprocess.run(["git", "-C", str(self.root), *arguments], check=False,
                                  capture_output=True, text=True)
        except OSError:
            return []
        return [p for p in done.stdout.split("\0") if p] if done.returncode == 0 else []

    def _walk(self):
        return [str(p.relative_to(self.root)) for p in self.root.rglob("*")
                if not IGNORED_FOLDERS & set(p.relative_to(self.root).parts)]

    def text(self, path):
        if path not in self.texts:
            self.texts[path] = (self.root / path).read_text(encoding="utf-8", errors="replace")
        return self.texts[path]

    def exists(self, path):
        return (self.root / path).exists()

    def ending(self, *suffixes):
        return [p for p in self.paths if p.endswith(suffixes)]

    def sources(self):
        return self.ending(".h", ".cc", ".cu", ".cuh")
