"""What the checks of documented shapes have in common."""
import json
import re
from urllib.parse import parse_qs, unquote, urlsplit


class Violation(Exception):
    """A request is not as its documents say."""


def need(condition, text):
    if not condition:
        raise Violation(text)


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.body = method, target, body
        parts = urlsplit(target)
        self.path = unquote(parts.path)
        self.query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.headers = {name.lower(): value for name, value in headers.items()}
        # What the line about this request says beside the request itself.
        self.facts = {}

    def json(self):
        need(self.headers.get("content-type", "").split(";")[0] == "application/json", "not sent as application/json")
        try:
            return json.loads(self.body, parse_constant=lambda word: need(False, f"{word} is not JSON"))
        except ValueError as error:
            raise Violation(f"not JSON: {error}")


def members(value, required, optional=(), what="object"):
    """Exactly these members, and their types."""
    need(isinstance(value, dict), f"{what} is not an object")
    known = {**dict(required), **dict(optional)}
    for name in value:
        need(name in known, f"{what} has a member {name} that nobody described")
        need(isinstance(value[name], known[name]) and not (known[name] is not bool and isinstance(value[name], bool)),
             f"{what}.{name} is {type(value[name]).__name__}")
    for name in dict(required):
        need(name in value, f"{what} has no {name}")


RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


def time(text, what="time"):
    need(isinstance(text, str) and RFC3339.fullmatch(text), f"{what} is {text!r}")
    return text
