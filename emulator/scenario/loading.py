"""Scenario files and folders -> validated scenarios, or every problem in them at once."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emulator.errors import Place, Problem, ScenarioError
from emulator.scenario.checks.flags import check_flags
from emulator.scenario.checks.parsed_file import ParsedFile, list_rules
from emulator.scenario.checks.scenario import check
from emulator.scenario.checks.unreachable import find_unreachable_rules
from emulator.scenario.media import explain_bad_path
from emulator.scenario.rules import Scenario
from emulator.scenario.types import list_keys
from emulator.scenario.validation import validate
from emulator.scenario.yaml import MAX_BYTES, NO_MAPPING, Location, Source, parse
from emulator.suggestions import did_you_mean, find_near, quote

_SUFFIXES = (".yaml", ".yml")
RECORDING_MANIFEST = "recording.yaml"
"""The file that makes a folder a recording; what is below such a folder is no scenario."""
MAX_INCLUDE_DEPTH = 20
"""How deeply scenario files may include each other."""


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """A scenario with the file it was read from."""

    scenario: Scenario
    file: str
    """The file as messages show it: relative to the current directory when below it."""
    folder: Path | None
    """Where the files it names are looked for; None for a scenario that has no file."""
    source: Source
    warnings: tuple[Problem, ...] = ()
    """What its own check warns of, for scenarios made in Python; those of files are in `LoadedScenarios`."""

    @property
    def name(self) -> str:
        """The scenario's name, by default the file's without its ending."""
        return self.scenario.scenario or Path(self.file).stem

    def place(self, loc: Location) -> Place:
        """Where a value is written, by its location."""
        return self.source.place(loc)


@dataclass(frozen=True, slots=True)
class LoadedScenarios:
    """Scenarios in the order in which their rules are tried, and the warnings about them."""

    scenarios: tuple[ScenarioFile, ...]
    warnings: tuple[Problem, ...]


def read_paths(
    paths: Sequence[str | os.PathLike[str]], *, skip_foreign: bool = False, is_alone: bool = False
) -> LoadedScenarios:
    """Read files, and folders with all `*.yaml` and `*.yml` below them, sorted, hidden ones left out.

    A file stands before those that it includes. With `skip_foreign`, files of a folder that are plainly no scenarios are left out with a
    warning. With `is_alone`, rules are compared only with those of their own scenario, as if each were served by itself.
    Raises ScenarioError with the problems of all files in order, warnings among them.
    """
    return read_scenarios([Path(path) for path in paths], skip_foreign=skip_foreign, is_alone=is_alone)


def is_text(scenario: str | os.PathLike[str]) -> bool:
    """Whether a scenario is given as its text: a text has a line break, a path has none."""
    return isinstance(scenario, str) and "\n" in scenario


def read_scenarios(
    scenarios: Sequence[str | os.PathLike[str]], *, skip_foreign: bool = False, is_alone: bool = False
) -> LoadedScenarios:
    """Read files and folders as `read_paths` does, and texts. Raises ScenarioError likewise."""
    contents = _load_contents(scenarios)
    parsed = {
        key: _parse(one)
        for key, one in contents.items()
        if skip_foreign and isinstance(one, _Content) and one.is_in_folder
    }
    foreign = {key: problem for key, one in parsed.items() if (problem := _explain_foreign(one))}
    kept = {key: one for key, one in contents.items() if key not in foreign}
    read = _read(kept, parsed, is_alone=is_alone)
    return replace(read, warnings=(*foreign.values(), *read.warnings))


def list_included(paths: Sequence[str | os.PathLike[str]]) -> frozenset[Path]:
    """The absolute paths of all files that scenarios include, those that are missing among them."""
    return frozenset(_Documents(_load_contents([Path(path) for path in paths])).included)


def _load_contents(scenarios: Sequence[str | os.PathLike[str]]) -> "dict[_Key, _Content | Problem]":
    texts = [str(one) for one in scenarios if is_text(one)]
    contents: dict[_Key, _Content | Problem] = {}
    for one in scenarios:
        if is_text(one):
            name = "<scenario>" if len(texts) == 1 else f"<scenario {texts.index(str(one)) + 1}>"
            contents[name] = _Content(name, None, str(one))
            continue
        for path, content in _load_path(Path(one)):
            # A file that is named twice is used once: the second time none of its rules could answer.
            contents.setdefault(path, content)
    return contents


def read_text(text: str, file: str = "<scenario>", folder: Path | None = None) -> LoadedScenarios:
    """Read a scenario that is not in a file; `folder` is where the files it names are looked for."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ScenarioError([_too_large(file)])
    return _read({file: _Content(file, folder, text)})


def examples_folder() -> Path:
    """The folder of the runnable examples: in the package when installed, else the repository's."""
    installed = Path(__file__).parents[1] / "examples"
    return installed if installed.exists() else Path(__file__).parents[2] / "scenarios"


def default_scenario_path() -> Path:
    """The scenario used when none is given."""
    return examples_folder() / "default.yaml"


@dataclass(frozen=True, slots=True)
class _Content:
    file: str
    folder: Path | None
    text: str | bytes
    is_in_folder: bool = False
    """Whether it was found in a folder rather than named."""


_Key = Path | str
"""A file's absolute path, or the name of a text."""


@dataclass(slots=True)
class _Document:
    """A scenario that was parsed, if it could be, and what it includes."""

    content: _Content
    source: Source | None
    problems: list[Problem]
    """The problems that keep it from being read, and those of its includes."""
    includes: list[_Key]


class _Documents:
    """Scenarios and those that they include, each parsed once, in the order in which their rules are tried."""

    def __init__(
        self, contents: Mapping[_Key, _Content | Problem], parsed: Mapping[_Key, _Document] | None = None
    ) -> None:
        """`parsed` are those among them that have been parsed already."""
        self.problems = [content for content in contents.values() if isinstance(content, Problem)]
        """Problems of files that cannot be read."""
        self.is_incomplete = bool(self.problems)
        """Whether a file that was named or included could not be read."""
        self.included: set[Path] = set()
        """What the scenarios include, whether it exists or not."""
        self._contents = {key: content for key, content in contents.items() if isinstance(content, _Content)}
        self._parsed = parsed or {}
        self._documents: dict[_Key, _Document] = {}
        for key, content in contents.items():
            if not isinstance(content, Problem):
                self._visit(key, ())
        inner = {key for document in self._documents.values() for key in document.includes}
        keys = self._sort([key for key in contents if key not in inner])
        self.ordered = [self._documents[key] for key in keys if key in self._documents]
        unread = {key: content.place.file for key, content in contents.items() if isinstance(content, Problem)}
        self.files = [unread.get(key) or self._contents[key].file for key in keys]
        """The files in order, those among them that cannot be read."""
        self.groups = [self._group(key) for key in keys if key in self._documents and key not in inner]
        """The scenarios that no other includes, each with those that belong to it."""

    def _sort(self, outer: Sequence[_Key]) -> list[_Key]:
        """The scenarios that no other includes, in their order, and those that are included, each behind all that include it."""
        done: dict[_Key, None] = {}
        for root in reversed(outer):
            pending: list[tuple[_Key, list[_Key]]] = [(root, self._includes_of(root))]
            while pending:
                key, left = pending[-1]
                if left:
                    included = left.pop()
                    if included not in done:
                        pending.append((included, self._includes_of(included)))
                else:
                    done[key] = None
                    pending.pop()
        return [*reversed(done)]

    def _includes_of(self, key: _Key) -> list[_Key]:
        return [*self._documents[key].includes] if key in self._documents else []

    def _visit(self, key: _Key, chain: tuple[_Key, ...]) -> None:
        if key in self._documents:
            return
        content = self._contents[key]
        document = self._documents[key] = self._parsed.get(key) or _parse(content)
        source = document.source
        if source is None:
            return
        for loc, name in _names_included(source):
            found = self._find(name, content, (*chain, key))
            if isinstance(found, str):
                self.is_incomplete = True
                document.problems.append(source.problem(source.place(loc), found))
            else:
                document.includes.append(found)
                self._visit(found, (*chain, key))

    def _find(self, name: str, content: _Content, chain: tuple[_Key, ...]) -> Path | str:
        """The path of an included file, whose content is known then; or what is wrong with its name."""
        folder = content.folder
        if folder is None:
            return f"only a scenario in a file can include others; write the rules of {quote(name)} into this one"
        path = _absolute(folder / name)
        self.included.add(path)
        if problem := explain_bad_path(name, folder):
            return problem
        if path in chain:
            files = [self._contents[key].file for key in (*chain[chain.index(path) :], path)]
            return "this includes itself: " + " includes ".join(files)
        if len(chain) > MAX_INCLUDE_DEPTH:
            return f"files include each other more than {MAX_INCLUDE_DEPTH} deep here"
        if path not in self._contents:
            loaded = _load(folder / name)
            if isinstance(loaded, Problem):
                return f"{quote(name)}: {loaded.message}"
            self._contents[path] = loaded
        return path

    def _group(self, key: _Key) -> list[_Document]:
        """A scenario and all that belong to it, in order."""
        members, pending = {key: None}, [key]
        while pending:
            new = [one for one in self._documents[pending.pop()].includes if one not in members]
            members.update(dict.fromkeys(new))
            pending += new
        documents = [self._documents[one] for one in members]
        return [document for document in self.ordered if any(document is one for one in documents)]


def _parse(content: _Content) -> _Document:
    try:
        return _Document(content, parse(content.text, content.file, list_keys(Scenario)), [], [])
    except ScenarioError as error:
        return _Document(content, None, list(error.problems), [])


def _names_included(source: Source) -> list[tuple[Location, str]]:
    """The names under `include`, each with its place; what is no name is reported by the models."""
    written = source.data.get("include")
    if isinstance(written, str):
        return [(("include",), written)]
    items = written if isinstance(written, list) else []
    return [(("include", number), str(one)) for number, one in enumerate(items) if isinstance(one, str | int | float)]


def _find_names_twice(group: Sequence[_Document]) -> Iterator[Problem]:
    """Rules of the files of one scenario that have the same name, those of one file aside."""
    first: dict[str, Place] = {}
    for document in group:
        source = document.source
        if source is None:
            continue
        for number, rule in enumerate(list_rules(source)):
            name = rule.get("name") if isinstance(rule, dict) else None
            if not isinstance(name, str):
                continue
            place = source.place(("rules", number, "name"))
            earlier = first.setdefault(name, place)
            if earlier.file != place.file:
                yield source.problem(
                    place, f"two rules are called {quote(name)}; the first is at {earlier.seen_from(place.file)}"
                )


def _explain_foreign(document: _Document) -> Problem | None:
    """Why a file is no scenario, though it may be good YAML; None if it is one, or is meant to be one."""
    source = document.source
    if source is None:
        last = document.problems[-1]
        return replace(last, severity="warning") if last.message.startswith(NO_MAPPING) else None
    if any(key in list_keys(Scenario) or find_near(key, ("rules",)) for key in source.data):
        return None
    message = 'this file has none of the keys of a scenario, such as "rules", so it is ignored'
    return source.problem(source.place(()), message, "warning")


def _read(
    contents: Mapping[_Key, _Content | Problem],
    known: Mapping[_Key, _Document] | None = None,
    *,
    is_alone: bool = False,
) -> LoadedScenarios:
    documents = _Documents(contents, known)
    problems = documents.problems
    parsed: dict[str, ParsedFile] = {}
    files: list[ScenarioFile] = []
    for document in documents.ordered:
        content, source = document.content, document.source
        problems += document.problems
        if source is None:
            continue
        found, file = validate(source, content.folder)
        found += [*source.problems, *check(file)]
        if not found and not file.scenario.rules and not _names_included(source):
            message = "this scenario has no rules, so it answers nothing"
            found.append(source.problem(source.place(()), message, "warning"))
        problems += found
        parsed[content.file] = file.without([problem.place.line for problem in found if problem.severity == "error"])
        files.append(ScenarioFile(file.scenario, content.file, content.folder, source))
    together = [documents.ordered] if not is_alone else documents.groups
    for group in together:
        problems += find_unreachable_rules([parsed[name] for one in group if (name := one.content.file) in parsed])
    for group in documents.groups:
        problems += _find_names_twice(group)
    if len(parsed) == len(documents.ordered) and not documents.is_incomplete:
        problems += check_flags([*parsed.values()])
    order = {name: number for number, name in enumerate(documents.files)}
    problems = sorted(
        dict.fromkeys(problems), key=lambda one: (order[one.place.file], one.place.line, one.place.column)
    )
    if any(problem.severity == "error" for problem in problems):
        raise ScenarioError(problems)
    return LoadedScenarios(tuple(files), tuple(problems))


def _load_path(path: Path) -> Iterator[tuple[Path, _Content | Problem]]:
    """What is in a file or in the files of a folder, by their absolute paths."""
    if not path.is_dir():
        yield _absolute(path), _load(path)
        return
    found = find_files(path)
    if not found:
        message = "this folder has no scenario: no file in it ends in .yaml or .yml"
        yield _absolute(path), _problem_of_file(show_path(path), message)
    for file in found:
        content = _load(file)
        yield _absolute(file), replace(content, is_in_folder=True) if isinstance(content, _Content) else content


def _absolute(path: Path) -> Path:
    # Not resolved: a file is known by the name it was given, whatever that links to.
    return Path(os.path.abspath(path))  # noqa: PTH100  # see the comment


def find_files(path: Path) -> list[Path]:
    """The scenario files of a folder and the folders below it, sorted; hidden ones and recordings are left out."""
    found: list[Path] = []
    for folder, subfolders, names in os.walk(path):
        if RECORDING_MANIFEST in names:
            subfolders.clear()
            continue
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        found += [Path(folder, name) for name in names if name.endswith(_SUFFIXES) and not name.startswith(".")]
    return sorted(found)


def _load(path: Path) -> _Content | Problem:
    file = show_path(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return _problem_of_file(file, _explain_missing(path))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return _problem_of_file(file, f"this file cannot be read: {reason.lower()}")
    if len(content) > MAX_BYTES:
        return _too_large(file)
    return _Content(file, path.absolute().parent, content)


def _too_large(file: str) -> Problem:
    return _problem_of_file(file, f"this file is larger than {MAX_BYTES // 1024 // 1024} MiB; divide it into several")


def _problem_of_file(file: str, message: str) -> Problem:
    return Problem(Place(file, 1, 1), message)


def _explain_missing(path: Path) -> str:
    """That a file or folder is missing, and what is in its folder under a similar name."""
    try:
        beside = [one for one in _absolute(path).parent.iterdir() if one.suffix in _SUFFIXES or one.is_dir()]
    except OSError:
        beside = []
    near = find_near(path.stem, [one.stem for one in beside])
    suggestion = next((f"; {did_you_mean(one.name)}" for one in beside if one.stem == near), "")
    return f"there is no such file or folder{suggestion}"


def show_path(path: Path) -> str:
    """A path as messages show it: relative to the current directory when below it."""
    here = Path.cwd()
    full = path.absolute()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(path)
