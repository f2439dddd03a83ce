# SPDX-License-Identifier: Apache-2.0
"""Target files: how to post to a product that bench/run does not start, and how to recognise what it
delivers (bench/targets/README.md has all keys). Everything is checked before a run begins. Each
complaint names the key and the remedy. A key that does not exist is an error."""
import hashlib
import ipaddress
import json
import pathlib
import re
import shlex
import tomllib
import urllib.parse

from runner.plan import PlanWrong, check_keys, seconds

KEYS = {"": {"name", "version", "post", "secrets", "answer", "sink", "accounts", "processes", "commands"},
        "post": {"url", "format", "api_key", "ca", "http", "method", "path", "headers", "body",
                 "body_file"},
        "answer": {"accepted", "duplicate", "id"},
        "sink": {"listen", "path", "key", "id", "body", "due", "signatures", "quiet"},
        "accounts": {"names", "count"},
        "processes": {"gateway", "broker"},
        "commands": {"stop", "start"}}
PENSTOCK_KEYS = {"url", "format", "api_key", "ca"}
# As bench/load/template.c has them.
PLACEHOLDERS = ("key", "type", "account", "amount", "currency", "due_us", "filling", "body")
HEAD_PLACEHOLDERS = tuple(name for name in PLACEHOLDERS if name not in ("filling", "body"))
METHODS = ("POST", "PUT", "PATCH")
BODY_BYTES_MAX, HEADERS_MAX, SECRETS_MAX, PROCESSES_MAX, ACCOUNTS_MAX = 16384, 24, 8, 16, 4096
FILE_BYTES_MAX, COMM_MAX = 65536, 15
SELECTOR = re.compile(r"header:[-!#$%&'*+.^_`|~0-9A-Za-z]{1,200}|json:/.{0,200}")
PLACEHOLDER = re.compile(r"\{([a-z0-9_:]+)\}")
STATUSES = re.compile(r"[1-5]\d\d(-[1-5]\d\d)?(, *[1-5]\d\d(-[1-5]\d\d)?)*")
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{20,200}")


class TargetFile:
    def __init__(self, path):
        self.path = pathlib.Path(path).resolve()
        self.folder = self.path.parent
        data = self._read()
        self.name = self._text(data, "", "name", self.path.stem)
        self.version = self._text(data, "", "version", "")  # for people: it is in the report
        self.is_penstock = False
        self._take_post(self._section(data, "post"), self._section(data, "secrets", None))
        self._take_answer(self._section(data, "answer"))
        self._take_sink(self._section(data, "sink"))
        self._take_accounts(self._section(data, "accounts"))
        processes = self._section(data, "processes")
        self.processes = {role: self._processes(processes, role) for role in KEYS["processes"]}
        commands = self._section(data, "commands")
        self.commands = {name: self._command(commands, name) for name in ("stop", "start")
                         if name in commands}
        # Of the file and the body, which has no secrets: whether two results have the same target.
        text = json.dumps([data, self.post["body"] if self.post else None], sort_keys=True,
                          default=str)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    # --- reading ---

    def _wrong(self, key, problem):
        return PlanWrong(f"{self.path.name}: {key}: {problem}")

    def _read(self):
        try:
            data = tomllib.loads(self.path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise PlanWrong(f"--target {self.path}: {error}") from None
        except tomllib.TOMLDecodeError as error:
            raise PlanWrong(f"{self.path.name}: {error}") from None
        check_keys(self.path.name, data, KEYS[""])
        return data

    def _section(self, data, name, known=()):
        """A table of the file. `known` None: its keys are free."""
        found = data.get(name, {})
        if not isinstance(found, dict):
            raise self._wrong(name, f"should be a table: [{name}]")
        if known is not None:
            check_keys(f"{self.path.name}: {name}", found, KEYS[name])
        return found

    def _text(self, table, section, key, default=None):
        where = f"{section}.{key}" if section else key
        value = table.get(key, default)
        if value is None:
            raise self._wrong(where, "is missing: add it")
        if not isinstance(value, str):
            raise self._wrong(where, f"should be a text, in quotes, not {value!r}")
        return value

    def _choice(self, table, section, key, values):
        value = self._text(table, section, key, values[0])
        if value not in values:
            raise self._wrong(f"{section}.{key}", f'"{value}" should be one of {", ".join(values)}')
        return value

    def _file(self, where, name, limit=FILE_BYTES_MAX):
        """The text of a file beside the target file."""
        path = self.folder / name
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise self._wrong(where, f"{path} cannot be read ({error}): name a file with it") \
                from None
        if len(text.encode()) > limit:
            raise self._wrong(where, f"{path} has more than {limit} bytes")
        return text

    def _first_line(self, where, name):
        line = (self._file(where, name).splitlines() or [""])[0].strip()
        if not line or "{" in line or not line.isprintable():
            raise self._wrong(where, f'the first line of {name} should be the secret, without "{{"')
        return line

    # --- [post] and [secrets] ---

    def _take_post(self, post, secrets):
        self.url = self._text(post, "post", "url")
        parts = urllib.parse.urlsplit(self.url)
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme not in ("http", "https") or not parts.hostname or not port or \
                parts.path.strip("/"):
            raise self._wrong("post.url", f'"{self.url}" should be http://HOST:PORT or '
                              "https://HOST:PORT; the path is post.path")
        self.host, self.port = parts.hostname, port
        self.ca = str(self.folder / self._text(post, "post", "ca", "")) if "ca" in post else None
        if self.ca:
            self._file("post.ca", self.ca)
        self.is_penstock = self._choice(post, "post", "format", ("template", "penstock")) == \
            "penstock"
        if self.is_penstock:
            self._take_penstock(post)
        else:
            self._take_template(post, secrets)

    def _take_penstock(self, post):
        for key in post:
            if key not in PENSTOCK_KEYS:
                raise self._wrong(f"post.{key}", 'does not go with format = "penstock": leave it '
                                  "out")
        key = self._text(post, "post", "api_key")
        self._first_line("post.api_key", key)
        self.api_key_file, self.post = str(self.folder / key), None

    def _take_template(self, post, secrets):
        if "api_key" in post:
            raise self._wrong("post.api_key", 'is for format = "penstock": put the key into '
                              "[secrets] and {secret:NAME} into post.headers")
        if len(secrets) > SECRETS_MAX:
            raise self._wrong("secrets", f"should have at most {SECRETS_MAX} names")
        values = {name: self._first_line(f"secrets.{name}", self._text(secrets, "secrets", name))
                  for name in secrets}
        if "body" in post and "body_file" in post:
            raise self._wrong("post.body_file", "leave out this or post.body")
        body = self._file("post.body_file", self._text(post, "post", "body_file"),
                          BODY_BYTES_MAX) if "body_file" in post \
            else self._text(post, "post", "body", "{body}")
        headers = post.get("headers", {})
        if not isinstance(headers, dict) or len(headers) > HEADERS_MAX:
            raise self._wrong("post.headers", f"should be a table of at most {HEADERS_MAX} headers")
        path = self._text(post, "post", "path", "/")
        if not path.startswith("/"):
            raise self._wrong("post.path", f'"{path}" should begin with "/"')
        self.post = {
            "method": self._choice(post, "post", "method", METHODS),
            "http": self._choice(post, "post", "http", ("1.1", "2")),
            "path": self._template("post.path", path, HEAD_PLACEHOLDERS, values),
            "headers": [[name, self._template(f"post.headers.{name}",
                                              self._text(headers, "post.headers", name),
                                              HEAD_PLACEHOLDERS, values)] for name in headers],
            "body": self._template("post.body", body, PLACEHOLDERS, None)}

    def _template(self, where, text, allowed, secrets):
        """The text with its secrets in place."""
        if len(text.encode()) > BODY_BYTES_MAX:
            raise self._wrong(where, f"should have at most {BODY_BYTES_MAX} bytes")
        for name in PLACEHOLDER.findall(text):
            if secrets is not None and name.startswith("secret:"):
                if name.removeprefix("secret:") not in secrets:
                    raise self._wrong(where, f"{{{name}}} has no file: add it to [secrets]")
            elif name not in allowed:
                known = ", ".join(f"{{{each}}}" for each in allowed)
                raise self._wrong(where, f"{{{name}}} is no placeholder here; there are: {known}")
        return re.sub(r"\{secret:([a-z0-9_]+)\}",
                      lambda match: (secrets or {}).get(match.group(1), match.group(0)), text)

    # --- [answer] and [sink] ---

    def _selector(self, table, section, key, default, more=()):
        value = self._text(table, section, key, default)
        if value not in ("none", *more) and not SELECTOR.fullmatch(value):
            known = ["header:NAME", "json:/POINTER", *more, "none"]
            raise self._wrong(f"{section}.{key}", f'"{value}" should be {", ".join(known)}')
        return value

    def _take_answer(self, answer):
        if self.is_penstock:
            if answer:
                raise self._wrong("answer", 'does not go with format = "penstock": leave it out')
            return
        for key, default in (("accepted", "200-299"), ("duplicate", "")):
            value = self._text(answer, "answer", key, default)
            if not STATUSES.fullmatch(value) and not (key == "duplicate" and not value):
                raise self._wrong(f"answer.{key}", f'"{value}" should be statuses such as '
                                  '"200, 202-204"')
            self.post[key] = value
        self.post["id"] = self._selector(answer, "answer", "id", "none")

    def _take_sink(self, sink):
        self._take_listen(self._text(sink, "sink", "listen"))
        self.sink_path = self._text(sink, "sink", "path", "/{account}")
        if not self.sink_path.startswith("/") or "{" in self.sink_path.replace("{account}", ""):
            raise self._wrong("sink.path", f'"{self.sink_path}" should begin with "/" and have no '
                              "placeholder but {account}")
        self.quiet_seconds = self._duration(sink, "quiet", "3s")
        self.secrets = self._signatures(sink)
        self.body = "same"
        self.sink_arguments = []
        if self.is_penstock:
            for key in ("key", "id", "body", "due"):
                if key in sink:
                    raise self._wrong(f"sink.{key}", 'does not go with format = "penstock": leave '
                                      "it out")
            return
        self._take_matching(sink)

    def _take_matching(self, sink):
        self.body = self._choice(sink, "sink", "body", ("changed", "same"))
        key = self._selector(sink, "sink", "key", "body", ("body",))
        own_id = self._selector(sink, "sink", "id", "none")
        due = self._selector(sink, "sink", "due", "none")
        if key == own_id == "none":
            raise self._wrong("sink.key", 'with "none", sink.id is needed: the run finds nothing')
        if own_id != "none" and self.post["id"] == "none":
            raise self._wrong("sink.id", "needs answer.id: say where the answer has the id")
        everywhere = [self.post["path"], self.post["body"], *(value for _, value in
                                                             self.post["headers"])]
        if key != "none" and not any("{key}" in text or "{body}" in text for text in everywhere):
            raise self._wrong("sink.key", "the post does not have it: put {key} into post.body, "
                              "post.path or post.headers")
        if due != "none" and not any("{due_us}" in text for text in everywhere):
            raise self._wrong("sink.due", "the post does not have it: put {due_us} into post.body")
        self.sink_arguments = ["--key", key, "--id", own_id, "--due", due]

    def _take_listen(self, listen):
        host, _, port = listen.rpartition(":")
        try:
            ipaddress.ip_address(host.strip("[]"))
            if not 1 <= int(port) <= 65535:
                raise ValueError
        except ValueError:
            raise self._wrong("sink.listen", f'"{listen}" should be IP:PORT, such as '
                              "0.0.0.0:9080, which the product delivers to") from None
        self.listen = (host.strip("[]"), int(port))

    def _duration(self, table, key, default):
        value = self._text(table, "sink", key, default)
        try:
            return seconds(value)
        except PlanWrong as wrong:
            raise self._wrong(f"sink.{key}", str(wrong)) from None

    def _signatures(self, sink):
        """Secrets by account; None is for all others."""
        if "signatures" not in sink:
            return {}
        text = self._file("sink.signatures", self._text(sink, "sink", "signatures"))
        found = {}
        for line in text.splitlines():
            words = line.split()
            if not words:
                continue
            if len(words) > 2 or not SECRET.fullmatch(words[-1]):
                raise self._wrong("sink.signatures", 'a line should be "whsec_..." or "ACCOUNT '
                                  'whsec_..."')
            found[words[0] if len(words) == 2 else None] = words[-1]
        if not found:
            raise self._wrong("sink.signatures", "the file is empty: leave the key out")
        return found

    def secret_of(self, account):
        if self.secrets and account not in self.secrets and None not in self.secrets:
            raise self._wrong("sink.signatures", f"{account} has no secret: add a line")
        return self.secrets.get(account, self.secrets.get(None))

    # --- [accounts], [processes], [commands] ---

    def _take_accounts(self, accounts):
        self.accounts_pattern = self._text(accounts, "accounts", "names", "acc_%d")
        if not re.fullmatch(r"[A-Za-z0-9_.-]*%d[A-Za-z0-9_.-]*", self.accounts_pattern) or \
                len(self.accounts_pattern) > 50:
            raise self._wrong("accounts.names", f'"{self.accounts_pattern}" should be letters, '
                              'digits, "_", "." and "-" with one %d')
        self.accounts_count = accounts.get("count", ACCOUNTS_MAX)
        if not isinstance(self.accounts_count, int) or \
                not 1 <= self.accounts_count <= ACCOUNTS_MAX:
            raise self._wrong("accounts.count", f"should be a number from 1 to {ACCOUNTS_MAX}")

    def _processes(self, table, role):
        """Pairs of a kind and a value."""
        where, found = f"processes.{role}", []
        texts = table.get(role, [])
        if not isinstance(texts, list) or len(texts) > PROCESSES_MAX:
            raise self._wrong(where, f"should be a list of at most {PROCESSES_MAX} processes")
        for text in texts:
            kind, _, value = str(text).partition(":")
            if kind not in ("name", "pid_file") or not value or \
                    (kind == "name" and len(value) > COMM_MAX):
                raise self._wrong(where, f'"{text}" should be name:NAME, of at most {COMM_MAX} '
                                  "characters, or pid_file:FILE")
            found.append((kind, value if kind == "name" else str(self.folder / value)))
        return found

    def _command(self, table, name):
        value = table[name]
        words = shlex.split(value) if isinstance(value, str) else value
        if not isinstance(words, list) or not words or \
                not all(isinstance(word, str) for word in words):
            raise self._wrong(f"commands.{name}", "should be a text or a list of words")
        return words

    # --- what a plan may do ---

    def adapt(self, plan):
        """Refuses what cannot be done with this target, and leaves out what means nothing to it.
        Returns notes for people."""
        if plan.queue != "direct":
            raise self._wrong("--queue", "a target has its own queue: leave it out, or choose "
                              "another plan")
        if plan.accounts > self.accounts_count:
            raise self._wrong("accounts.count", f"the plan has {plan.accounts} accounts: add "
                              f"accounts, or use --set accounts={self.accounts_count}")
        for group in plan.groups.values():
            if group.is_named:
                raise self._wrong("plan", f"group {group.name} has host names, which only our own "
                                  "gateway asks for: choose another plan")
        for fault in plan.faults:
            self._check_fault(fault)
        self._check_acts(plan)
        self._check_behaviours(plan)
        plan.account_pattern = self.accounts_pattern
        notes = [f"note: the plan sets {key} of its gateway: set up the target like that"
                 for key in plan.gateway]
        return notes if self.is_penstock else notes + self._leave_out(plan)

    def _check_fault(self, fault):
        do, what = fault["do"], fault.get("what", "gateway")
        if do == "behave" or (what == "sink" and do in ("kill", "stop")):
            return
        if do in ("kill", "restart") and what == "gateway":
            missing = [name for name in ("stop", "start") if name not in self.commands]
            if missing:
                raise self._wrong(f"commands.{missing[0]}", f"the plan's fault {do} at "
                                  f"{fault['at']} needs it: add it, or choose another plan")
            return
        raise self._wrong("plan", f"the fault {do} of the {what} at {fault['at']} cannot be done to "
                          "a target: choose another plan")

    def _check_acts(self, plan):
        """Only one generator posts to a target, and operators have nothing to act with."""
        acts = [act for act in plan.acts if act not in plan.faults]
        for act in acts:
            if act["do"] != "partner" or not plan.alone:
                raise self._wrong("plan", f"the act {act['do']} at {act['at']} cannot be done to a target: "
                                  "choose another plan")
        if acts:
            plan.post_alone()

    def _check_behaviours(self, plan):
        if "{account}" in self.sink_path:
            return
        words = {plan.behaviour_of(number) for number in range(plan.accounts)}
        groups = {fault["group"] for fault in plan.faults if fault["do"] == "behave"
                  and "group" in fault}
        partly = any(plan.groups[name].count < plan.accounts for name in groups) or \
            any(fault["do"] == "behave" and "account" in fault for fault in plan.faults)
        if len(words) > 1 or (partly and plan.accounts > 1):
            raise self._wrong("sink.path", "the plan's accounts behave differently, and all are on "
                              f'"{self.sink_path}": let the product deliver to /{{account}}')

    def _leave_out(self, plan):
        if int(plan.load.get("batch", 1)) > 1:
            raise self._wrong("plan", "it posts batches, and a post.body is one event: use --set "
                              "load.batch=1")
        left_out = [key for key in ("conflicts", "invalid") if key in plan.load]
        plan.load = {key: value for key, value in plan.load.items() if key not in left_out}
        return [f"note: the plan's {key} are left out: their meaning is Penstock's"
                for key in left_out]
