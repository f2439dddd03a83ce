#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compares etc/api/openapi.yaml with the tables in the source, in both directions: routes, members of
request bodies, parameters, errors with their statuses, and the names of states, causes and kinds."""
import itertools
import re
import sys

import yaml

DOCUMENT = "etc/api/openapi.yaml"
METHODS = ("get", "post", "patch", "delete", "put")

found = []
compared = 0


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def compare(what, document, source):
    """Both must have the same items, and some."""
    global compared  # pylint: disable=global-statement
    document, source = set(document), set(source)
    compared += len(source)
    if not source:
        found.append(f"{what}: the source has none: this test does not find them any more")
    for item in sorted(document - source):
        found.append(f"{what}: {item} is only in {DOCUMENT}")
    for item in sorted(source - document):
        found.append(f"{what}: {item} is only in the source")


def table(path, name):
    """The arguments of the rows of an X macro, as lists of texts."""
    macro = re.search(rf"#define {name}\(X\)(.*?)\n\n", read(path), re.S).group(1).replace("\\\n", "\n")
    for row in re.findall(r"X\(((?:[^()\"]|\"(?:[^\"\\]|\\.)*\")*)\)", macro):
        yield [part.strip().strip('"') for part in re.findall(r'"(?:[^"\\]|\\.)*"|[^,]+', row)]


def texts(text):
    return re.findall(r'"([^"]*)"', text)


def names_in(path, function):
    """The texts of the first list in a function."""
    return texts(re.search(rf"{function}\([^;]*?\{{.*?(\{{.*?\}});", read(path), re.S).group(1))


class Routes:
    """(method, path with {} for each part) -> handler."""

    def __init__(self, path):
        body = re.search(r"static const struct http_route routes\[\] = \{\n(.*?)\n\};", read(path), re.S).group(1)
        self.handlers = {}
        for is_api, method, place, handler in re.findall(r'(API\(|\{)"([A-Z]+)", "([^"]+)",\s*(\w+)', body):
            place = "/api/v1/" + place if is_api == "API(" else place
            self.handlers[(method, without_names(place))] = handler


def without_names(path):
    return re.sub(r"\{\w+\}", "{}", path)


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def resolve(document, value):
    while "$ref" in value:
        node = document
        for part in value["$ref"][2:].split("/"):
            node = node[part]
        value = node
    return value


def functions(folder, sources):
    """name -> text of each function."""
    result = {}
    for path in sources:
        for match in re.finditer(r"^\w[^;{}]*?\b(\w+)\([^;{}]*\)\n\{\n(.*?)\n\}\n", read(f"{folder}/{path}"), re.S | re.M):
            result[match.group(1)] = match.group(2)
    return result


def body_members(document, operation):
    content = operation["requestBody"]["content"]["application/json"]
    schema = resolve(document, content["schema"])
    return schema.get("properties", {})


def check_bodies(document, handlers):
    """The members that a handler knows: its list `known`, or the one name of admin_change_of_name."""
    import os  # pylint: disable=import-outside-toplevel
    texts_of = functions("src/admin", sorted(name for name in os.listdir("src/admin") if name.endswith(".c")))
    shared = {"admin_add_endpoint_secret": texts_of["admin_change_of_secret"], "admin_add_partner_secret": texts_of["admin_change_of_secret"],
              "admin_test_endpoint": texts_of["take_body"]}
    filters = re.findall(r"X\((\w+),", re.search(r"#define DELIVERY_FILTER_MEMBERS\(X\)(.*?)\n\n", read("src/model/delivery_filter.c"), re.S).group(1))
    for method, path, operation in operations(document):
        handler = handlers.get((method, without_names(path)))
        if not handler or not handler.startswith("admin_") or method not in ("POST", "PATCH"):
            continue
        text = shared.get(handler, texts_of[handler])
        known = re.search(r"known\[\] = \{(.*?)\}", text, re.S)
        name = re.search(r'admin_change_of_name\([^;]*?"(\w+)"', text, re.S)
        if handler == "admin_create_replay":
            own = re.search(r"own\[\] = \{(.*?)\}", texts_of["read_body"], re.S)
            compare(f"{handler}: body", body_members(document, operation), texts(own.group(1)) + [f for f in filters if f != "cause"])
        elif name:
            compare(f"{handler}: body", body_members(document, operation), [name.group(1)])
        elif not known:
            found.append(f"{handler}: this test does not find the members of its body")
        elif texts(known.group(1)) or body_members(document, operation):
            compare(f"{handler}: body", body_members(document, operation), texts(known.group(1)))


def check_parameters(document, handlers):
    """The parameters in the query that a handler knows."""
    lists = read("src/admin/lists.c")
    by_list = {f"admin_list_{name}": texts("".join(re.findall(r'\{("\w+")', rows))) + ["limit", "cursor"] for name, rows in
               re.findall(r'\{"(deliveries|conflicts|poison)",\s*\{(.*?)\},\s*ask_', lists, re.S)}
    by_list["admin_list_events"] = texts(re.search(r"names\[\] = \{(.*?)\}", read("src/admin/events.c"), re.S).group(1))
    by_list["admin_get_readyz"] = ["verbose"]
    by_list["ingress_find_events"] = texts(re.search(r"known\[\] = \{(.*?)\}", read("src/ingress/find_events.c"), re.S).group(1))
    by_list["admin_get_audit"] = texts(re.search(r"parameters\[PARAMETERS\] = \{(.*?)\};", read("src/admin/audit.c"), re.S).group(1))
    import os  # pylint: disable=import-outside-toplevel
    texts_of = functions("src/admin", sorted(name for name in os.listdir("src/admin") if name.endswith(".c")))
    for method, path, operation in operations(document):
        handler = handlers.get((method, without_names(path)))
        if not handler:
            continue
        given = [p["name"] for p in (resolve(document, p) for p in operation.get("parameters", [])) if p["in"] == "query"]
        known = re.search(r"struct admin_parameter parameters\[\] = \{(.*?)\};", texts_of.get(handler, ""), re.S)
        source = by_list.get(handler) or (texts(known.group(1)) if known else [])
        if given or source:
            compare(f"{handler}: parameters", given, source)


def check_problems(document):
    statuses = {row[1]: int(row[3]) for row in table("src/base/err.h", "ERR_TABLE")}
    for name, response in document["components"]["responses"].items():
        schema = response["content"]["application/problem+json"]["schema"]
        codes = [code for part in schema.get("allOf", []) for code in part.get("properties", {}).get("type", {}).get("enum", [])]
        example = response["content"]["application/problem+json"]["example"]
        for code in [*codes, example["type"]]:
            if statuses.get(code.rpartition(":")[2]) != example["status"]:
                found.append(f"the response {name}: {code} does not have the status {example['status']}")
    used = {}
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if "$ref" in response and status != "default":
                used.setdefault(response["$ref"].rpartition("/")[2], set()).add(int(status))
    for name, of in used.items():
        example = document["components"]["responses"][name]["content"]["application/problem+json"]["example"]
        if of != {example["status"]}:
            found.append(f"the response {name} is used for {sorted(of)}")


def check_names(document):
    schemas = document["components"]["schemas"]

    def enum(name):
        return [value for value in schemas[name]["enum"] if value is not None]

    compare("errors", enum("ErrorCode"), [row[1] for row in table("src/base/err.h", "ERR_TABLE") if row[1] != "ok"])
    compare("causes", enum("Cause"), [row[1] for row in table("src/model/attempt_cause.h", "ATTEMPT_CAUSE_TABLE") if row[1] != "none"])
    compare("kinds of operator events", enum("OperatorEventKind"), [row[1] for row in table("src/model/operator_event.h", "OPERATOR_EVENT_TABLE")])
    compare("findings of the audit", enum("AuditKind"), [row[1] for row in table("src/history/audit.h", "AUDIT_KIND_TABLE")])
    states = "src/model/delivery_state.c"
    for schema, function in (("DeliveryState", "delivery_state_name"), ("ParkReason", "park_reason_name"), ("WaitCause", "wait_cause_name"),
                             ("Lane", "delivery_lane_name"), ("ReplayResult", "delivery_replay_name")):
        compare(schema, enum(schema), [name for name in names_in(states, function) if name != "none"])
    replay = read("src/model/replay.c")
    for schema, name in (("ReplayActionName", "actions"), ("ReplayState", "states")):
        compare(schema, enum(schema), texts(re.search(rf"const {name}\[\w+\] = \{{(.*?)\}}", replay, re.S).group(1)))
    refusals = texts(re.search(r"const refusals\[\w+\] = \{(.*?)\}", replay, re.S).group(1))
    compare("refusals of a replay", schemas["Refused"]["properties"], [name for name in refusals if name != "none"])
    compare("switches", enum("SwitchName"), texts(re.search(r"const names\[\w*\] = \{(.*?)\}", read("src/model/switch.c"), re.S).group(1)))


def main():
    document = yaml.safe_load(read(DOCUMENT))
    admin, ingress = Routes("src/admin/admin.c").handlers, Routes("src/ingress/ingress.c").handlers
    compare("routes", [f"{method} {without_names(path)}" for method, path, _ in operations(document)],
            [f"{method} {path}" for method, path in itertools.chain(admin, ingress)])
    for method, path, operation in operations(document):
        parts = re.findall(r"\{(\w+)\}", path)
        given = [p["name"] for p in (resolve(document, p) for p in operation.get("parameters", [])) if p["in"] == "path"]
        if sorted(parts) != sorted(given):
            found.append(f"{method} {path}: its parameters are {given}")
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    compare("operationIds, each once", ids, ids if len(set(ids)) == len(ids) else ["one occurs twice"])
    version = re.search(r"project\(penstock VERSION (\S+)", read("CMakeLists.txt")).group(1)
    compare("version", [document["info"]["version"]], [version])
    check_bodies(document, admin)
    check_parameters(document, {**admin, **ingress})
    check_problems(document)
    check_names(document)
    print("\n".join(found) if found else f"{DOCUMENT} agrees with the source: {compared} names compared")
    return 1 if found else 0


sys.exit(main())
