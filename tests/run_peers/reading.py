"""What the originals understand of a configuration, and what patch-run does: generated texts, setting by setting.

The ini files are read by Python's configparser in the way that 0.4.3 and Foreman's client use it, the dotenv files by the class of
1.0.5 itself, run by its own Python (read_dotenv.py). Ours is asked with `patch-run --check-config --cfg FILE --json`, whose output has to be
an object with `settings`: each setting by the original's key (`main_log_level`, `needs_update.d`, `wait_max`), in the words in which it
shows it to people; of a secret, `set, N characters`. Findings do not matter here. A configuration that cannot be read leaves nothing on
the standard output.

In what follows ours differs on purpose; each generated text knows whether it is such a one.
"""

import configparser
import json
import logging
import random
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor

from tests.lockd_clients.updaters import environment, say

NAME = "reading"
SEED = 20261121
EACH = {"ini": 80, "foreman": 35}
SECRETS = ("secret", "main_api_secret")
LEVELS = ("log_level", "loglevel", "main_log_level")
RETENTIONS = ("log_retention", "logretention", "main_log_retention")
# None or fewer kept are all kept; ours says how many that is.
CENTURY = 36500
# What there is nothing to show of where no lock is taken.
NO_LOCK = {"main_api_endpoint": "not used", "main_api_secretid": "unset", "main_api_secret": "unset", "main_api_ca": "the system's",
           "main_acquirebackoffbase": "unset", "main_acquirebackoffmax": "unset"}
COMMON = {"lock": "/run/x.pid", "state": "/var/lib/x/state", "lock_name": "web"}
INI = COMMON | {"log": "/var/log/x.log", "log_level": "INFO", "log_retention": "30", "endpoint": "https://dlm.example/api/v2/", "secret_id": "id",
                "secret": "s3cr3t", "reboot_cmd": "/sbin/reboot"}
FOREMAN = COMMON | {"log": "/var/log/x.log", "loglevel": "INFO", "logretention": "30", "foreman_url": "https://foreman.example",
                    "client_crt": "/etc/c.pem", "client_key": "/etc/k.pem", "reboot_cmd": "/sbin/reboot"}
DIRS = ("needs_update.d", "pre_update.d", "update.d", "needs_reboot.d", "post_update.d")
DOTENV = {"main_api_lockname": "web", "main_api_endpoint": "https://dlm.example/api/v2/", "main_api_secretid": "id",
          "main_api_secret": "s3cr3t"}
WHOLE = {"log_retention": int, "logretention": int, "wait_max": int}
VARIABLES = {"PATH": "/usr/bin:/bin", "PLACE": "here", "EMPTY": ""}


class Made:
    """A generated text. `why` names the weakness where ours refuses or keeps apart what the original takes."""

    def __init__(self, dialect, name, text, variables=None, why=None):
        self.dialect, self.name, self.text, self.why = dialect, name, text, why
        self.variables = VARIABLES | (variables or {})
        self.theirs = self.ours = None


def ini_texts(dialect, base, dice, number):
    """Correct files written in all the ways that configparser takes, and some that it does not."""
    base = base | {name: f"/etc/x/{name}/" for name in (*DIRS, *(("ext_notify.d",) if dialect == "ini" else ()))}
    ways = (
        ("plain", lambda rows: rows), ("colons", lambda rows: [row.replace(" = ", ": ", 1) for row in rows]),
        ("no blanks", lambda rows: [row.replace(" = ", "=", 1) for row in rows]),
        ("capital keys", lambda rows: [row.partition(" = ")[0].upper() + " = " + row.partition(" = ")[2] for row in rows]),
        ("comments", lambda rows: [part for row in rows for part in ("# a comment", row, "; another", "")]),
        ("comment behind", lambda rows: behind(rows, dice, " # not a comment")),
        ("semicolon behind", lambda rows: behind(rows, dice, " ; neither")),
        ("indented comment", lambda rows: [part for row in rows for part in (row, "   # indented")]),
        ("quotes", lambda rows: quoted(rows, dice)),
        ("continued", lambda rows: behind(rows, dice, "\n  more of it")),
        ("continued over a blank line", lambda rows: behind(rows, dice, "\n\n  more of it")),
        ("blank value", lambda rows: replaced(rows, dice, "")),
        ("level", lambda rows: [row if not row.startswith(("log_level", "loglevel")) else
                                row.partition(" = ")[0] + " = " + dice.choice(("info", "WARN", "FATAL", "LOUD", "10", "NOTSET")) for row in rows]),
        ("percent doubled", lambda rows: replaced(rows, dice, "a%%b")), ("percent alone", lambda rows: replaced(rows, dice, "a%b")),
        ("percent at the end", lambda rows: replaced(rows, dice, "a%")),
        ("interpolated", lambda rows: ["place = /srv", *replaced(rows, dice, "%(place)s/x")]),
        ("interpolated in capitals", lambda rows: ["place = /srv", *replaced(rows, dice, "%(PLACE)s/x")]),
        ("interpolated from nothing", lambda rows: replaced(rows, dice, "%(nowhere)s/x")),
        ("interpolated in a circle", lambda rows: ["place = %(place)s", *replaced(rows, dice, "%(place)s")]),
        ("interpolated twice", lambda rows: ["root = /srv", "place = %(root)s/p", *replaced(rows, dice, "%(place)s/x")]),
        ("key twice", lambda rows: [*rows, dice.choice(rows)]), ("no value", lambda rows: [*rows, "orphan"]),
        ("indented key", lambda rows: [rows[0], "  " + rows[1], *rows[2:]]),
        ("equals in a value", lambda rows: replaced(rows, dice, "a=b = c:d")),
        ("tabs", lambda rows: [row.replace(" = ", "\t=\t") for row in rows]),
        ("utf-8", lambda rows: replaced(rows, dice, "/srv/größe")), ("another section", lambda rows: [*rows, "[other]", "log = /x"]),
        ("section twice", lambda rows: [*rows, "[main]"]), ("defaults behind", lambda rows: [*rows[1:], "[DEFAULT]", rows[0]]),
        ("defaults overridden", lambda rows: [*rows, "[DEFAULT]", "log = /x"]),
        ("carriage returns", lambda rows: [row + "\r" for row in rows]), ("key without name", lambda rows: [*rows, "= x"]),
        ("wait", lambda rows: [*rows, "wait = " + dice.choice(("1", "yes", "TRUE", "on", "0", "No", "false", "Off", "maybe", "2", "t"))]),
        ("wait_max", lambda rows: [*rows, "wait_max = " + dice.choice(("5", " 7 ", "+9", "1_000", "0x10", "1.5", "-3", "10 s", "٣"))]),
        ("retention", lambda rows: [row if not row.startswith(("log_retention", "logretention")) else
                                    row.partition(" = ")[0] + " = " + dice.choice(("007", "1_0", "+4", "x", "-1")) for row in rows]),
    )
    for index in range(number):
        name, way = ways[index % len(ways)]
        rows = [f"{key} = {value}" for key, value in base.items()]
        if index >= len(ways):
            dice.shuffle(rows)
        yield Made(dialect, name, "[main]\n" + "\n".join(way(rows)) + "\n")


def free(dice, rows):
    """The place of a row whose value may be any text."""
    return dice.choice([place for place, row in enumerate(rows) if row.partition(" = ")[0] in ("reboot_cmd", "secret", "secret_id")])


def behind(rows, dice, more):
    """With this behind a value."""
    place = free(dice, rows)
    return [row + more if number == place else row for number, row in enumerate(rows)]


def replaced(rows, dice, value):
    """With this as a value."""
    place = free(dice, rows)
    return [f"{row.partition(' = ')[0]} = {value}" if number == place else row for number, row in enumerate(rows)]


def quoted(rows, dice):
    """With a value in quotes."""
    place, mark = free(dice, rows), dice.choice("'\"")
    key, _, value = rows[place].partition(" = ")
    return [f"{key} = {mark}{value}{mark}" if number == place else row for number, row in enumerate(rows)]


def dotenv_texts():
    """The same for dotenv, each way once."""
    odd = (
        "a b", "a#b", "a #b", "'a #b'", '"a #b"', "'it'", '"a\\nb"', "'a\\nb'", '"a\\"b"', "a\\nb", "${PLACE}", "'${PLACE}'", '"x${PLACE}y"',
        "${NOWHERE}", "${NOWHERE:-there}", "$PLACE", "${EMPTY}", "", "''", " x ", "a=b", "äöü", "\"a'b\"", "'a\"b'", "`x`", "a\tb",
        "${PLACE", "\\${PLACE}", "'unclosed", '"un\nclosed"', "a;b", "%(x)s", "50%",
    )
    values = {
        "main_wait": ("true", "False", "YES", "no", "on", "off", "1", "0", "t", "F", "y", "n", "maybe", "2", ""),
        "main_waitmax": ("5", "+5", " 5 ", "5.0", "5.5", "1_000", "-1", "x", "", "0x5"),
        "main_acquireattempts": ("0", "3", "-1", "x"), "main_releaseattempts": ("1", "0", "7"),
        "main_acquirebackoffbase": ("0.5", "1e1", "0", "-1", "nan", "x"), "main_releasebackoffmax": ("30", ".5", "x"),
        "main_log_retention": ("7", "x", "-1"), "main_resetstateonreleasefailure": ("true", "nein"),
        "main_userscriptusers": ('["a","b"]', "[]", "a,b", '["a", 1]', '"a"', "null"), "main_api_noop": ("true", "0"),
        "main_log_level": ("INFO", "info", ""), "main_basedir": ("/etc/x",),
    }
    tried = [(key, value) for key, some in values.items() for value in some]
    lines = (
        ("misspelt", "main_wiat=true"), ("unknown", "other=1"), ("capitals", "MAIN_LOG_LEVEL=INFO"), ("export", "export main_log_level=INFO"),
        ("blanks", "main_log_level = INFO"), ("comment", "# main_log_level=INFO"), ("behind", "main_log_level=INFO # why"),
        ("twice", "main_log_level=INFO\nmain_log_level=ERROR"), ("no value", "main_log_level"), ("garbage", "what is this"),
        ("carriage return", "main_log_level=INFO\r"), ("deeper", "main_log_level_x=1"), ("object", 'main_log={"level": "INFO"}'),
        ("whole", 'main={"wait": true}'), ("plugin", "plugin_slack_enabled=false"), ("quoted key", "'main_log_level'=INFO"),
        ("leading blanks", "   main_log_level=INFO"), ("colon", "main_log_level: INFO"), ("two names", "Main_Wait=true\nmain_wait=false"),
    )
    outside = ({"MAIN_WAIT": "true"}, {"main_wait": "1"}, {"MAIN_LOG_LEVEL": "ERROR"}, {"MAIN_WAITMAX": "x"}, {"MAIN_API_LOCKNAME": "other"},
               {"MAIN_USERSCRIPTUSERS": '["x"]'}, {"MAIN_API_NOOP": "true"})
    base = "".join(f"{key}={value}\n" for key, value in DOTENV.items())
    made = [Made("dotenv", "plain", base)]
    made += [Made("dotenv", f"value {value!r}", base + f"main_api_secretid={value}\n") for value in odd]
    made += [Made("dotenv", f"secret {value!r}", base.replace("s3cr3t", value), why="W43" if re.search(r"\$\{.*\}", value) else None) for value in odd]
    made += [Made("dotenv", f"{key}={value}", base + f"{key}={value}\n") for key, value in tried]
    made += [Made("dotenv", name, base + line + "\n", why="W43" if name in ("unknown", "deeper", "object", "whole", "no value") else None) for name, line in lines]
    made += [Made("dotenv", f"outside {variables}", base, variables, "W8" if "MAIN_API_NOOP" in variables else None) for variables in outside]
    made += [Made("dotenv", f"without {key}", base.replace(f"{key}={value}\n", "")) for key, value in DOTENV.items()]
    return made


def texts():
    """All of them, the same at every run."""
    dice = random.Random(SEED)
    return [*ini_texts("ini", INI, dice, EACH["ini"]), *ini_texts("foreman", FOREMAN, dice, EACH["foreman"]),
            *dotenv_texts()]


def by_configparser(made):
    """What 0.4.3 and Foreman's client get from their ini files; None where they end with an error, at the latest when they use a setting."""
    parser = configparser.ConfigParser()
    try:
        parser.read_string(made.text.replace("\r\n", "\n"))
        keys = (*(FOREMAN if made.dialect == "foreman" else INI), *DIRS)
        read = {key: parser.getint("main", key) if key in WHOLE else parser.get("main", key) for key in keys}
        if made.dialect == "ini":
            # What may be left out, with what 0.4.3 takes then.
            read |= {"wait": parser.getboolean("main", "wait", fallback=False), "wait_max": parser.getint("main", "wait_max", fallback=3600),
                     "ext_notify.d": parser.get("main", "ext_notify.d"), "on_failure.d": parser.get("main", "on_failure.d", fallback=None)}
        logging.getLogger(NAME).setLevel(read.get("log_level") or read["loglevel"])
        return read | {"ca": parser.get("main", "ca", fallback=None)}
    except (configparser.Error, ValueError):
        return None


def by_dotenv(made):
    """What 1.0.5 understands, all in one process of its own Python."""
    asked = json.dumps([{"text": one.text, "environment": one.variables} for one in made])
    done = subprocess.run([environment("dlm-1.0") / "bin/python3", "tests/run_peers/read_dotenv.py"], input=asked, capture_output=True,
                          text=True, check=True)
    return json.loads(done.stdout)


def by_ours(made, folder, tool):
    """What patch-run understands; None if it cannot read it."""
    path = folder / f"{id(made)}.cfg"
    path.write_bytes(made.text.encode())
    path.chmod(0o600)
    name = "foreman_dlm_updater" if made.dialect == "foreman" else "dlm_engine_updater"
    done = subprocess.run([tool / "usr/sbin" / name, "--check-config", "--cfg", path, "--json"], env=made.variables,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return json.loads(done.stdout)["settings"] if done.stdout.strip() else None


def shown(made):
    """What the original understands, in the words in which --check-config shows settings."""
    read = made.theirs
    if read is None:
        return None
    waits = read.get("wait", read.get("main_wait"))
    shown = {key: word(key, value) for key, value in read.items()}
    if not waits:
        shown |= {key: text for key, text in (("wait_max", "not used"), ("main_waitmax", "not used"), ("main_acquireattempts", "0")) if key in read}
    if read.get("main_api_noop"):
        shown |= NO_LOCK
    return shown


def word(key, value):
    """One setting. Of a secret only how long it is; a level by its first name; a command word by word."""
    if key in SECRETS:
        return f"set, {len(value)} characters"
    if value is None or value == []:
        return "the system's" if key in ("ca", "main_api_ca") else "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(value)
    if key in LEVELS:
        return {"NOTSET": "WARNING"}.get(value, logging.getLevelName(logging.getLevelName(value)))
    if key in RETENTIONS:
        return str(value if value > 0 else CENTURY)
    if key == "reboot_cmd":
        return " ".join(map(quoted_word, shlex.split(value)))
    return f"{value:g}" if isinstance(value, float) else str(value)


def quoted_word(text):
    """As a shell would have to be told, where it is not plain."""
    return text if re.fullmatch(r"[A-Za-z0-9_.,:@%+/=-]+", text) else "'" + text.replace("'", "'\\''") + "'"


def found_later(read):
    """Whether the original finds out in the middle of a run that it cannot use a value. Ours does so before it begins (W43)."""
    ids = read.get("secret_id", read.get("main_api_secretid", ""))
    words = read.get("reboot_cmd", "reboot").split()
    return not re.fullmatch(r"[!-~]*", ids) or "" in (read.get("secret_id"), read.get("secret")) or not words or ";" in words \
        or read.get("main_waitmax", 0) < 0


def fault(made):
    """How both differ, in words; None if they do not, or on purpose (W8, W43)."""
    theirs = shown(made)
    if made.why:
        return f"{made.why} is not shown to be closed: both say {theirs}" if theirs == made.ours else None
    if theirs and found_later(made.theirs):
        return f"ours takes what nothing can be done with: {theirs}" if made.ours else None
    if theirs is None or made.ours is None:
        return None if theirs is made.ours else f"the original {'refuses' if theirs is None else 'takes'} it, ours does not"
    unequal = [f"{key} is {made.ours.get(key)!r}, theirs {value!r}" for key, value in theirs.items() if made.ours.get(key) != value]
    return ", ".join(unequal) or None


def compare(folder, stage):
    """Read all of them both ways; how many differ that should not."""
    folder.mkdir()
    made = texts()
    dotenv = [one for one in made if one.dialect == "dotenv"]
    for one, theirs in zip(dotenv, by_dotenv(dotenv)):
        one.theirs = theirs
    for one in made:
        if one.dialect != "dotenv":
            one.theirs = by_configparser(one)
    taken = sum(one.theirs is not None for one in made)
    faults = []
    if stage.built:
        with ThreadPoolExecutor(2) as pool:
            for one, ours in zip(made, pool.map(lambda one: by_ours(one, folder, stage.tools), made)):
                one.ours = ours
        faults = [f"{one.dialect}, {one.name}: {what}" for one in made if (what := fault(one))]
    for line in faults:
        say(f"  reading: {line}")
    say(f"reading: texts={len(made)} taken={taken} refused={len(made) - taken} differing={len(faults)}")
    return len(faults)
