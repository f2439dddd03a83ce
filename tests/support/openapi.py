# SPDX-License-Identifier: Apache-2.0
"""Checks requests, answers and webhooks against the OpenAPI document of a gateway.

Schemas of answers are closed: a member that the document does not have is a failure. (The document itself leaves them open, because later versions
may add members.) Schemas are checked by python3-jsonschema, which is not ours."""
import collections
import json
import re
import urllib.parse

import jsonschema

METHODS = ("get", "post", "patch", "delete")
FORMATS = jsonschema.FormatChecker(formats=())
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


@FORMATS.checks("date-time")
def _is_time(value):
    return not isinstance(value, str) or bool(RFC_3339.fullmatch(value))


@FORMATS.checks("date")
def _is_day(value):
    return not isinstance(value, str) or bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value))


@FORMATS.checks("uri")
def _is_uri(value):
    return not isinstance(value, str) or bool(urllib.parse.urlsplit(value).scheme)


def wrong_with(schema, value):
    """What is wrong with the value, one line each."""
    checker = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in checker.iter_errors(value)]


class Operation:
    def __init__(self, document, method, path, item):
        self.document, self.method, self.path, self.id = document, method.upper(), path, item["operationId"]
        self.parameters = [document.resolve(parameter) for parameter in item.get("parameters", [])]
        self.responses = {status: document.resolve(response) for status, response in item["responses"].items()}
        self.bodies = item.get("requestBody", {}).get("content", {})
        self.security = item.get("security", [])
        self.pattern = re.compile(re.sub(r"\{\w+\}", "([^/]+)", re.escape(path).replace(r"\{", "{").replace(r"\}", "}")))

    def examples(self):
        """(media type, name, value) of the examples of request bodies."""
        for media, body in self.bodies.items():
            for name, example in body.get("examples", {}).items():
                yield media, name, example["value"]

    def statuses(self):
        return {int(status) for status in self.responses if status != "default"}


class Document:
    def __init__(self, document):
        self.json = document
        self.operations = {op.id: op for op in self._operations("paths")}
        self.webhooks = {op.path: op for op in self._operations("webhooks")}
        self.seen = collections.defaultdict(set)  # operationId -> statuses
        self.used = set()  # (operationId, name of the example)
        self.answers = {}  # operationId and status -> the first body
        self.schemas = {}  # operationId, status and media type -> the closed schema of an answer

    def _operations(self, section):
        for path, item in self.json[section].items():
            for method in METHODS:
                if method in item:
                    yield Operation(self, method, path, item[method])

    def resolve(self, value):
        while isinstance(value, dict) and "$ref" in value:
            node = self.json
            for part in value["$ref"][2:].split("/"):
                node = node[part]
            value = {**node, **{k: v for k, v in value.items() if k != "$ref"}}
        return value

    def schema(self, value, closed):
        """The schema without references, its objects merged. With `closed`, an object has no other members than those that it lists."""
        if isinstance(value, list):
            return [self.schema(item, closed) for item in value]
        if not isinstance(value, dict):
            return value
        value = self.resolve(value)
        parts = [self.schema(part, False) for part in value.get("allOf", [])]
        result = {key: self.schema(item, closed) for key, item in value.items() if key not in ("allOf", "example", "examples", "description")}
        if isinstance(value.get("properties"), dict):
            result["properties"] = {name: self.schema(item, closed) for name, item in value["properties"].items()}
        for part in parts if not closed else [self.schema(part, True) for part in value.get("allOf", [])]:
            for key, item in part.items():
                if key == "properties":
                    merged = dict(result.get("properties", {}))
                    for name, member in item.items():
                        merged[name] = {**merged.get(name, {}), **member}
                    result["properties"] = merged
                elif key == "required":
                    result["required"] = sorted({*result.get("required", []), *item})
                elif key != "additionalProperties":
                    result.setdefault(key, item)
        if closed and "properties" in result:
            result.setdefault("additionalProperties", False)
        return result

    def find(self, method, path):
        for op in sorted(self.operations.values(), key=lambda op: op.path.count("{")):
            match = op.pattern.fullmatch(path)
            if op.method == method and match:
                return op, dict(zip(re.findall(r"\{(\w+)\}", op.path), match.groups()))
        raise AssertionError(f"{method} {path} is not in the document")

    # --- checks ---

    def check_answer(self, response):
        """For the event hooks of httpx."""
        response.read()
        request = response.request
        op, parts = self.find(request.method, request.url.path)
        where = f"{op.id} {response.status_code}"
        documented = op.responses.get(str(response.status_code)) or op.responses["default"]
        self.seen[op.id].add(response.status_code)
        self._check_headers(where, documented, response)
        media = response.headers["content-type"].partition(";")[0]
        assert media in documented["content"], f"{where}: its media type is {media}"
        body = response.json() if media.endswith("json") else response.text
        self.answers.setdefault(f"{op.id} {response.status_code}", body)
        if (where, media) not in self.schemas:
            self.schemas[where, media] = self.schema(documented["content"][media]["schema"], True)
        problems = wrong_with(self.schemas[where, media], body)
        assert not problems, "\n".join([f"{where}:", *problems, response.text[:2000]])
        if response.status_code < 300:  # what the gateway accepts is documented
            self._check_request(op, parts, request)

    def _check_headers(self, where, documented, response):
        for name, header in documented["headers"].items():
            value = response.headers.get(name)
            if name.lower().startswith("ratelimit") and value is None:
                continue  # only with a limit
            schema = self.schema(self.resolve(header)["schema"], False)
            assert value is not None, f"{where}: it has no {name}"
            problems = wrong_with(schema, int(value) if schema["type"] == "integer" else value)
            assert not problems, f"{where}: {name}: {problems}"

    def _check_request(self, op, parts, request):
        query = dict(urllib.parse.parse_qsl(request.url.query.decode(), keep_blank_values=True))
        values = {"path": parts, "query": query, "header": request.headers}
        for parameter in op.parameters:
            value = values[parameter["in"]].get(parameter["name"])
            assert value is not None or not parameter.get("required"), f"{op.id}: {parameter['name']} is not required"
            if value is not None:
                problems = wrong_with(self.schema(parameter["schema"], False), as_typed(parameter, value))
                assert not problems, f"{op.id}: {parameter['name']}: {problems}"
        known = {parameter["name"] for parameter in op.parameters if parameter["in"] == "query"}
        assert not set(query) - known, f"{op.id}: the query has {set(query) - known}"
        media = request.headers.get("content-type", "").partition(";")[0]
        if request.content:
            body = json.loads(request.content) if media == "application/json" else request.content.decode()
            problems = wrong_with(self.schema(op.bodies[media]["schema"], False), body)
            assert not problems, f"{op.id}: its request: {problems}"

    def check_webhook(self, name, headers, body):
        op = self.webhooks[name]
        for parameter in op.parameters:
            value = headers.get(parameter["name"].lower())
            assert value is not None or not parameter.get("required"), f"{name}: it has no {parameter['name']}"
            if value is not None:
                problems = wrong_with(self.schema(parameter["schema"], False), as_typed(parameter, value))
                assert not problems, f"{name}: {parameter['name']}: {problems}"
        schema = self.schema(op.bodies["application/json"]["schema"], name != "event")
        problems = wrong_with(schema, json.loads(body))
        assert not problems, "\n".join([f"{name}:", *problems, body.decode()])

    def wrong_examples(self):
        """All examples, each against its schema. Returns how many there are, and what is wrong."""
        count, wrong = 0, []

        def check(place, schema, value, closed):
            nonlocal count
            count += 1
            wrong.extend(f"{place}: {problem}" for problem in wrong_with(self.schema(schema, closed), value))

        def walk(place, node, is_request):
            if isinstance(node, list):
                for i, item in enumerate(node):
                    walk(f"{place}/{i}", item, is_request)
            elif isinstance(node, dict):
                if "schema" in node:
                    values = [example["value"] for example in node.get("examples", {}).values()]
                    for value in values + ([node["example"]] if "example" in node else []):
                        check(place, node["schema"], as_typed(node, value) if "in" in node else value, not is_request)
                for name, item in node.items():
                    if name not in ("schema", "example", "examples"):
                        walk(f"{place}/{name}", item, is_request or name in ("requestBody", "parameters"))

        for section in ("paths", "webhooks"):
            walk(section, self.json[section], False)
        for kind in ("parameters", "headers", "responses"):
            walk(kind, self.json["components"][kind], kind != "responses")
        return count, wrong


def as_typed(parameter, value):
    """The text of a parameter as what its schema says."""
    kind = parameter["schema"].get("type")
    if not isinstance(value, str):
        return value
    return int(value) if kind == "integer" else {"true": True, "false": False}.get(value, value) if kind == "boolean" else value
