"""Scripts that complete commands in bash, zsh and fish, made from the parser itself.

They hold every command, flag and choice as it is now, and ask nobody: completing is instant, also without a
server. `taskflow completion SHELL` prints one.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

_HEAD: Final = "# Completes taskflow's commands; made by `taskflow completion`."


class Flag(Struct, frozen=True):
    names: tuple[str, ...]
    what: str
    takes: bool
    choices: tuple[str, ...]


class Place(Struct, frozen=True):
    """What may come after the words of `path`: sub-commands with what they are for, flags, and choices of arguments."""

    path: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]
    flags: tuple[Flag, ...]
    choices: tuple[str, ...]

    @property
    def key(self) -> str:
        return " ".join(self.path)


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    places = list(_places(parser, (parser.prog,)))
    match shell:
        case "bash":
            return _bash(places)
        case "zsh":
            return _zsh(places)
        case _:
            return _fish(places)


def _places(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[Place]:
    commands: list[tuple[str, str]] = []
    flags: list[Flag] = []
    choices: list[str] = []
    below: list[tuple[str, argparse.ArgumentParser]] = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            whats = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001 - as above
            for name, sub in action.choices.items():
                commands.append((name, whats.get(name, "")))
                below.append((name, sub))
        elif action.option_strings:
            takes = action.nargs != 0
            values = tuple(str(choice) for choice in action.choices or ())
            flags.append(Flag(tuple(action.option_strings), action.help or "", takes, values))
        else:
            choices += [str(choice) for choice in action.choices or ()]
    yield Place(path, tuple(commands), tuple(flags), tuple(choices))
    for name, sub in below:
        yield from _places(sub, (*path, name))


def _words(place: Place) -> list[str]:
    return [*[name for name, _ in place.commands], *place.choices]


def _bash(places: list[Place]) -> str:
    words = "\n".join(f"    [{place.key!r}]={' '.join(_words(place))!r}" for place in places)
    flags = "\n".join(
        f"    [{place.key!r}]={' '.join(name for flag in place.flags for name in flag.names)!r}" for place in places
    )
    values = "\n".join(
        f"    ['{place.key} {name}']={' '.join(flag.choices)!r}"
        for place in places
        for flag in place.flags
        if flag.takes
        for name in flag.names
    )
    return f"""{_HEAD}
_taskflow() {{
  local -A words=(
{words}
  )
  local -A flags=(
{flags}
  )
  local -A values=(
{values}
  )
  local current=${{COMP_WORDS[COMP_CWORD]}} place=taskflow word index last=
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=${{COMP_WORDS[index]}}
    last=$word
    if [[ $word != -* && " ${{words["$place"]}} " == *" $word "* && -v 'words[$place $word]' ]]; then
      place="$place $word"
    fi
  done
  COMPREPLY=()
  if [[ $last == -* && -v "values[$place $last]" ]]; then
    COMPREPLY=($(compgen -W "${{values["$place $last"]}}" -- "$current"))
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "${{flags["$place"]}}" -- "$current"))
  else
    COMPREPLY=($(compgen -W "${{words["$place"]}}" -- "$current"))
  fi
}}
complete -o default -F _taskflow taskflow
"""


def _zsh(places: list[Place]) -> str:
    cases = []
    for place in places:
        names = [_described(name, what) for name, what in place.commands]
        names += [_described(choice, "") for choice in place.choices]
        flags = [_described(name, flag.what) for flag in place.flags for name in flag.names]
        cases.append(f"    ({_quoted(place.key)}) words_here=({' '.join(names)}); flags_here=({' '.join(flags)}) ;;")
    values = [
        f"    ({_quoted(f'{place.key} {name}')}) values_here=({' '.join(_quoted(choice) for choice in flag.choices)})"
        "; takes=1 ;;"
        for place in places
        for flag in place.flags
        if flag.takes
        for name in flag.names
    ]
    keys = " ".join(_quoted(place.key) for place in places)
    newline = "\n"
    return f"""#compdef taskflow
{_HEAD}
_taskflow() {{
  local -a known=({keys}) words_here flags_here values_here
  local place=taskflow word last= takes= index
  for ((index = 2; index < CURRENT; index++)); do
    word=${{words[index]}}
    last=$word
    if (( ${{known[(Ie)$place $word]}} )); then place="$place $word"; fi
  done
  case "$place $last" in
{newline.join(values)}
  esac
  case "$place" in
{newline.join(cases)}
  esac
  if [[ -n $takes ]]; then
    if (( $#values_here )); then compadd -a values_here; else _default; fi
  elif [[ ${{words[CURRENT]}} == -* ]]; then
    _describe -o flag flags_here
  elif (( $#words_here )); then
    _describe command words_here
  else
    _default
  fi
}}
compdef _taskflow taskflow
"""


def _fish(places: list[Place]) -> str:
    keys = " ".join(_quoted(place.key) for place in places)
    out = [
        _HEAD,
        "function __taskflow_at",
        f"  set -l known {keys}",
        "  set -l place taskflow",
        "  for word in (commandline -opc)[2..]",
        '    set -l longer "$place $word"',
        "    contains -- $longer $known; and set place $longer",
        "  end",
        '  test "$place" = "$argv[1]"',
        "end",
        "complete -c taskflow -f",
    ]
    for place in places:
        at = f"complete -c taskflow -n \"__taskflow_at '{place.key}'\""
        out += [f"{at} -a {_quoted(name)} -d {_quoted(what)}" for name, what in place.commands]
        out += [f"{at} -a {_quoted(' '.join(place.choices))}"] if place.choices else []
        for flag in place.flags:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names)
            values = f" -x -a {_quoted(' '.join(flag.choices))}" if flag.choices else " -r -F" if flag.takes else ""
            out.append(f"{at} {names} -d {_quoted(flag.what)}{values}")
    return "\n".join(out) + "\n"


def _described(name: str, what: str) -> str:
    """For zsh's `_describe`, where a colon parts the two."""
    text = name.replace(":", "\\:")
    return _quoted(f"{text}:{what}" if what else text)


def _quoted(text: str) -> str:
    """In single quotes, without what would need another rule in each shell."""
    return "'" + re.sub(r"['\\]", "", text.replace("\n", " ")) + "'"
