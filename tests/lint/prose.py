#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the project's prose is plain English.

  tests/lint/prose.py           check the tree (this is what ctest runs)
  tests/lint/prose.py PATH...   list every finding in these files and folders
  tests/lint/prose.py --write   write the counts of today to prose_allowed.txt

What is checked, and how:
  Markdown       words, asides, sentence length, line length, relative links: no finding is allowed
  etc/api/*.yaml words and line length: no finding is allowed
  C              comments (words, line length), string literals and test titles (words)
  Python         titles of the scenario tests (words)

Findings in C and Python are counted per folder. A folder fails when its count is higher than in
prose_allowed.txt. Each run first checks the checker: every rule must find its own bad example, and
good prose must pass.
"""
import os
import re
import sys

COLUMNS_MAX = 100
SENTENCE_WORDS_MAX = 35
ALLOWED = "tests/lint/prose_allowed.txt"
STRICT = " (documents)"  # behind the name of a folder: no finding is allowed
SKIPPED_FOLDERS = {".git", "build", "node_modules", "__pycache__"}

# What to avoid (regular expression, case does not count), what to write instead, a bad example.
WORDS = [
    # contractions
    (r"\bwon[’']?t\b", 'say what happens: "fails", "is rejected", "does not"', "It won't start."),
    (r"\b\w+n[’']t\b", "write it out: does not, cannot, is not", "It can't be read."),
    (r"\b(it|that|there|what|who|here|he|she|let)[’']s\b", "write it out: it is", "It's full."),
    (r"\b\w+[’'](ll|re|ve)\b", "write it out: they are, it will", "They're sent."),
    (r"\b(dont|doesnt|cant|isnt)\b", "write it out: does not, cannot", "a row that isnt there"),
    # common words used in an uncommon way
    (r"\bgoes\b(?! (to|into|through|from|back to|via|down|up)\b)",
     "say what happens: happens, continues, expires, is removed, is sent", "An old body goes."),
    (r"\b(is|are|was|were) over\b(?! \d)", "ends, has ended, expires", "The wait is over."),
    (r"\bwhat (came|comes)\b", "name it: the messages that arrive", "It keeps what came."),
    (r"\bwho(so)?ever\b", "anyone who, the operator who", "Whoever reads it must wait."),
    (r"\bstands?\b(?!-)", "is, is written, is in", "The key stands in the event."),
    (r"\bstanding\b", "is, remains", "The queue is left standing."),
    (r"\blet(s|ting)? go\b", "releases, frees", "The owner lets go of it."),
    (r"\b(is|are|was|were|be) told\b", "is notified, is answered, is distinguished",
     "The partner is told."),
    (r"\b(is|are|was|were|be) said\b", "is logged, is reported, is shown", "A loss is said."),
    (r"\bas many as it takes\b", "as many as are accepted, with N in flight",
     "Post as many as it takes."),
    (r"\bknows? of\b", "has, finds", "The journal knows of it."),
    (r"\bhears? of\b", "is notified of", "The thread hears of it."),
    (r"\blies\b", "is in, is at", "The event lies in the queue."),
    (r"\bturn(s|ed)? up\b", "arrives, is found", "The event turns up."),
    (r"\b(puts?|putting) (\w+ ){0,3}off\b", "delays, postpones", "It puts the attempt off."),
    (r"\bfor ever\b", "forever, without end", "It waits for ever."),
    (r"\bbut for\b", "except", "All but for one are sent."),
    (r"\bafter all\b", "leave it out, or say: later", "It comes after all."),
    (r"\bthe worse for\b", "say what is lost", "It is the worse for it."),
    (r"\bdear(er|est|ly)?\b", "expensive", "A sync is dear."),
    (r"\b(lest|hence|thereby|whence|whilst|amongst|henceforth|notwithstanding)\b",
     "so, because, so that, while, among", "Hence the group commit."),
    (r"\b(i\.e\.|e\.g\.)", "that is, for example", "Use a port, e.g. 80."),
    (r"\bfate\b", "what happens to it", "Its fate is open."),
    # charm, riddles, personification
    (r"\w!(\s|$)", "end the sentence with a full stop", "It works!"),
    (r"\b(nobody|somebody)[’']s\b", "say whose it is", "The row is nobody's."),
    (r"\b(he|him|his)\b", "they, the operator, the partner", "The state that he saw."),
    (r"\b(wants|believes|thinks|hopes|feels|likes|hates|dislikes) (to|that|of|a|an|the|it|no|what)\b",
     "say what it does: needs, reads, requires", "The endpoint wants the event."),
    (r"\b(journal|gateway|broker|store|queue|loop|thread|breaker|connector|process)"
     r" (forgets|remembers|understands|notices|minds)\b",
     "say what it does: removes, keeps, detects", "The store forgets the key."),
    (r"\b(ill-tempered|happily|sadly|of course|simply|just(?! (before|after|now)))\b", "leave it out",
     "Simply start it."),
    # names of yesterday (the vocabulary has one word for each idea)
    (r"\bledgers?\b", "dedupe store", "The ledger is full."),
    (r"\b(newest|oldest|open|full|dedupe|sealed) slices?\b", "segment", "The newest slice."),
    (r"\bsettle(s|d|ment)?\b|\bsettling\b", "record (outcome), resolve (operator), ack (broker)",
     "The delivery is settled."),
    (r"\bdiversions?\b", "the publish breaker is open; the direct path", "A diversion began."),
    (r"\bcensus\b", "backlog scan, status", "A census at the start."),
    (r"\bcrash points?\b", "failpoint", "The crash point is on."),
    (r"\boperators?['’]? acts?\b", "operator action", "An operator's act."),
    (r"\boperator's acts?\b", "operator action", "It is an operator's act."),
]

# In Markdown only: an aside in parentheses that carries a rule, or a whole sentence in parentheses.
ASIDES = [
    (r"\([^()]*\b(must|never|unless|except|always|but not)\b[^()]*\)",
     "the rule is a sentence of its own, without parentheses",
     "Send the key (it must be unique) with each event."),
    (r"\([A-Z][^()]*[a-z]\.\)", "drop the parentheses around the sentence",
     "It starts. (The first start needs the broker.)"),
]

WORDS = [(re.compile(p, re.I), instead, bad) for p, instead, bad in WORDS]
ASIDES = [(re.compile(p), instead, bad) for p, instead, bad in ASIDES]

GOOD_MARKDOWN = """# A title

The gateway writes each event to the journal. It answers 200 after the commit (with fsync).
What the sink of [the test](prose.py) received is compared with `what came`, which is code.

- A list item. An event goes to its endpoint, and the delivery fails after 30 s.
- `won't` in code is not prose.

| a table | of two columns |
|---|---|
| one sentence in a cell | another one |

```
in a block of code the ledger stands, and it's over
```
"""
GOOD_C = """/* Returns the partition of an account. Older segments expire; see `ledger`. */
log_warn("the disk is full: "
         "no event is accepted");
Test(journal, a_duplicate_is_answered_with_the_first_id) {}
"""


class Text:
    """A piece of prose, with the line of each of its characters."""

    def __init__(self):
        self.text, self.lines = "", []

    def add(self, text, line, separator=" "):
        if self.text:
            text = separator + text
        self.text += text
        self.lines += [line] * len(text)

    def line_at(self, offset):
        return self.lines[min(offset, len(self.lines) - 1)]

    def blank(self, pattern, by=" "):
        """Replaces what matches with a text of the same length, so that lines stay known."""
        self.text = re.sub(pattern, lambda m: (by + " " * len(m.group()))[:len(m.group())], self.text)


def find_words(text, rules):
    for pattern, instead, _ in rules:
        for match in pattern.finditer(text.text):
            words = " ".join(match.group().split())
            yield text.line_at(match.start()), f'"{words}": {instead}'


def find_long_sentences(text):
    start = 0
    ends = [m.end() for m in re.finditer(r"[.!?][\"')\]]*(?=\s+[A-Z\"'(\[])", text.text)]
    for end in ends + [len(text.text)]:
        words = [w for w in text.text[start:end].split() if re.search(r"\w", w)]
        if len(words) > SENTENCE_WORDS_MAX:
            begin = start + len(text.text[start:end]) - len(text.text[start:end].lstrip())
            yield text.line_at(begin), (f"a sentence of {len(words)} words: at most "
                                        f"{SENTENCE_WORDS_MAX}, make two of it")
        start = end


def find_long_lines(lines):
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX and not re.fullmatch(r"\s*(-|\d+\.)?\s*\S+", line):
            yield number, f"a line of {len(line)} columns: at most {COLUMNS_MAX}, break it"


def markdown_blocks(lines):
    """Paragraphs, list items, headings and table cells; code blocks are left out."""
    block, in_code = Text(), False
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
            continue
        if in_code:
            continue
        text = line.strip().lstrip(">").strip()
        is_row = text.startswith("|")
        if not text or is_row or re.match(r"([-*+]|\d+\.)\s|#", text):
            if block.text:
                yield block
            block = Text()
        text = re.sub(r"^(([-*+]|\d+\.)\s+|#+\s*)", "", text)
        if is_row:
            for cell in re.split(r"(?<!\\)\|", text):
                if re.search(r"\w", cell):
                    row = Text()
                    row.add(cell.strip(), number)
                    yield row
        elif text:
            block.add(text, number)
            if line.startswith("#"):
                yield block
                block = Text()
    if block.text:
        yield block


def slugs(path):
    """The anchors that GitHub makes of a document's headings."""
    found = set()
    for line in open(path, encoding="utf-8"):
        if line.startswith("#"):
            title = re.sub(r"[`*]", "", line.lstrip("#").strip()).lower()
            found.add(re.sub(r"[^\w\- ]", "", title).replace(" ", "-"))
    return found


def find_dead_links(block, path):
    for match in re.finditer(r"\]\(([^)\s]+)\)", block.text):
        target, _, anchor = match.group(1).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
        if not os.path.exists(file):
            yield block.line_at(match.start()), f"the link {match.group(1)} leads nowhere: mend it"
        elif anchor and file.endswith(".md") and anchor not in slugs(file):
            yield block.line_at(match.start()), f"no heading is called #{anchor}: mend the link"


def check_markdown(path, text):
    lines = text.splitlines()
    yield from find_long_lines(lines)
    for block in markdown_blocks(lines):
        block.blank(r"``[^`]*``|`[^`]*`", "C")
        yield from find_dead_links(block, path)
        block.blank(r"\]\([^)\s]+\)")
        block.blank(r"https?://\S+")
        yield from find_words(block, WORDS)
        yield from find_words(block, ASIDES)
        yield from find_long_sentences(block)


def check_yaml(_, text):
    lines = text.splitlines()
    yield from find_long_lines(lines)
    for number, line in enumerate(lines, 1):
        prose = Text()
        prose.add(line, number)
        prose.blank(r"`[^`]*`")
        yield from find_words(prose, WORDS)


C_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def c_texts(text):
    """Comments one by one; string literals that follow one another as one text."""
    literal, literal_end = Text(), 0
    for match in C_TOKEN.finditer(text):
        token, line = match.group(), text.count("\n", 0, match.start()) + 1
        if token.startswith("'"):
            continue
        if token.startswith('"'):
            begin = text.rfind("\n", 0, match.start()) + 1
            if text[begin:match.start()].lstrip().startswith("#include"):
                continue
            if literal.text and text[literal_end:match.start()].strip():
                yield "literal", literal
                literal = Text()
            literal.add(token[1:-1].replace("\\n", "  ").replace('\\"', '" '), line, "")
            literal_end = match.end()
            continue
        comment = Text()
        for number, part in enumerate(token.strip("/").strip("*").splitlines(), line):
            comment.add(part.strip().lstrip("*").strip(), number)
        yield "comment", comment
    if literal.text:
        yield "literal", literal


def check_titles(text, pattern):
    for match in re.finditer(pattern, text, re.M):
        title = Text()
        title.add(match.group(1).replace("_", " "), text.count("\n", 0, match.start()) + 1)
        yield from find_words(title, WORDS)


def check_c(path, text):
    lines = text.splitlines()
    commented = set()
    for kind, prose in c_texts(text):
        if kind == "comment":
            commented.update(prose.lines)
        elif path.startswith("tests/"):
            continue  # inputs of tests, not prose
        prose.blank(r"`[^`]*`")
        yield from find_words(prose, WORDS)
    for number, finding in find_long_lines(lines):
        if number in commented:
            yield number, finding
    yield from check_titles(text, r"^\s*(?:Parameterized)?Test\(\w+,\s*(\w+)")


def check_python(path, text):
    if path.startswith("tests/scenario/"):
        yield from check_titles(text, r"^(?:async )?def (test_\w+)")


CHECKS = {".md": check_markdown, ".yaml": check_yaml, ".c": check_c, ".h": check_c, ".py": check_python}


def is_strict(path):
    return path.endswith((".md", ".yaml"))


def files(tops):
    for top in tops:
        if os.path.isfile(top):
            yield top
        for directory, folders, names in os.walk(top):
            folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS)
            for name in sorted(names):
                path = os.path.normpath(os.path.join(directory, name))
                kind = os.path.splitext(name)[1]
                if kind in CHECKS and (kind != ".yaml" or path.startswith("etc/api/")):
                    yield path


def folder_of(path):
    folder = "/".join(os.path.dirname(path).split("/")[:2]) or "."
    return folder + STRICT if is_strict(path) else folder


def findings_in(tops):
    for path in files(tops):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for line, finding in sorted(CHECKS[os.path.splitext(path)[1]](path, text)):
            yield folder_of(path), f"{path}:{line}: {finding}"


def read_allowed():
    allowed = {}
    for line in open(ALLOWED, encoding="utf-8"):
        words = line.split("#")[0].split()
        if words:
            allowed[words[0]] = int(words[1])
    return allowed


def write_allowed(counts):
    with open(ALLOWED, "w", encoding="utf-8") as file:
        file.write("# SPDX-License-Identifier: Apache-2.0\n"
                   "# Findings of tests/lint/prose.py that a folder may have. A count may only get lower:\n"
                   "# `tests/lint/prose.py --write` writes the counts of today.\n")
        for folder in sorted(counts):
            if not folder.endswith(STRICT):
                file.write(f"{folder} {counts[folder]}\n")


def self_test():
    """What is wrong with the checker itself. A rule that finds nothing is a defect."""
    wrong = []

    def expect(check, path, text, part):
        found = [finding for _, finding in check(path, text)]
        if part is None and found:
            wrong.append(f"good prose does not pass: {found[0]}")
        elif part is not None and not any(part in finding for finding in found):
            wrong.append(f"not found in {text!r}: {part}")

    here = "tests/lint/prose.md"  # only its folder matters: links begin there
    for _, instead, bad in WORDS:
        expect(check_markdown, here, bad + "\n", instead)
        expect(check_c, "src/x.c", f"/* {bad} */\n", instead)
        expect(check_c, "src/x.c", f'log_warn("{bad}");\n', instead)
    for _, instead, bad in ASIDES:
        expect(check_markdown, here, bad + "\n", instead)
    many = "word " * (SENTENCE_WORDS_MAX + 1)
    expect(check_markdown, here, many.replace("word word", "word\nword"), "make two of it")
    expect(check_markdown, here, "| a | " + many + "|\n", "make two of it")
    expect(check_markdown, here, "word. " * SENTENCE_WORDS_MAX + "\n", "break it")
    expect(check_markdown, here, "[there](missing.md)\n", "leads nowhere")
    expect(check_markdown, here, "[there](../README.md#no-such-heading)\n", "no heading")
    expect(check_c, "src/x.c", "/* one\n * " + "word. " * 20 + "\n */\n", "break it")
    expect(check_c, "tests/unit/x.c", "Test(a, the_ledger_is_full) {}\n", "dedupe store")
    expect(check_python, "tests/scenario/x.py", "def test_a_census():\n", "backlog scan")
    expect(check_yaml, "etc/api/x.yaml", "# What stands here.\n", "is written")
    expect(check_c, "src/x.c", 'f("the queue knows "\n  "of it");\n', "has, finds")
    expect(check_markdown, here, GOOD_MARKDOWN, None)
    expect(check_c, "src/x.c", GOOD_C, None)
    return wrong


def main(arguments):
    wrong = self_test()
    if wrong:
        print("\n".join(wrong))
        return 1
    if arguments and arguments != ["--write"]:
        found = [finding for _, finding in findings_in(arguments)]
        print("\n".join(found) if found else "no findings")
        return 1 if found else 0

    by_folder = {}
    for path in files(["."]):
        by_folder.setdefault(folder_of(path), [])
    for folder, finding in findings_in(["."]):
        by_folder[folder].append(finding)
    counts = {folder: len(found) for folder, found in by_folder.items()}
    if arguments == ["--write"]:
        write_allowed(counts)
        return 0
    allowed, failed = read_allowed(), len(counts) < 2  # fewer: the tree was not found
    for folder in sorted(counts):
        more = counts[folder] > allowed.get(folder, 0)
        failed = failed or more
        if more:
            print("\n".join(by_folder[folder]))
    for folder in sorted(counts):
        may = allowed.get(folder, 0)
        note = ("TOO MANY" if counts[folder] > may else
                "lower it in prose_allowed.txt" if counts[folder] < may else "")
        print(f"{folder:30} {counts[folder]:5} findings, {may} allowed  {note}".rstrip())
    return 1 if failed else 0


sys.exit(main(sys.argv[1:]))
