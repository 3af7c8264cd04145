"""InfluxDB 2: buckets, organisations and writes (https://docs.influxdata.com/influxdb/v2/api/v2/). Lines are checked by
https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/."""
import re

from shape import members, need

NAME = r"(?:\\.|[^\\, =\n])+"
TAG_VALUE = NAME
FIELD = rf"{NAME}=(?:-?\d+i|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\"(?:\\.|[^\"\\])*\"|true|false)"
LINE = re.compile(rf"(?:\\.|[^\\, \n])+(?:,{NAME}={TAG_VALUE})* {FIELD}(?:,{FIELD})* \d+")
OWNER, BUCKET = "0123456789abcdef", "fedcba9876543210"


def make(_, options):
    buckets = {options["exists"]: []} if "exists" in options else {}

    def answer(request):
        if request.headers.get("authorization") != f"Token {options['token']}":
            return 401, {}, {"code": "unauthorized", "message": "unauthorized access"}
        if request.path == "/api/v2/write":
            need(request.method == "POST" and request.query.get("org") == options["org"], request.target)
            need(request.query.get("precision", "ns") == "ns", "precision")
            if request.query.get("bucket") not in buckets:
                return 404, {}, {"code": "not found", "message": f"bucket \"{request.query.get('bucket')}\" not found"}
            lines = [line for line in request.body.decode().split("\n") if line]
            for line in lines:
                need(LINE.fullmatch(line), f"no line of the protocol: {line}")
            request.facts["points"] = len(lines)
            return 204, {}, b""
        if request.path == "/api/v2/orgs":
            need(request.method == "GET", request.method)
            known = [{"id": OWNER, "name": options["org"]}] if request.query.get("org") == options["org"] else []
            return 200, {}, {"links": {}, "orgs": known}
        if request.path == "/api/v2/buckets" and request.method == "GET":
            need(request.query.get("org") == options["org"], "org")
            name = request.query.get("name")
            found = [{"id": BUCKET, "orgID": OWNER, "name": name, "retentionRules": buckets[name]}] if name in buckets else []
            return 200, {}, {"links": {}, "buckets": found}
        document = request.json()
        rules = document.get("retentionRules")
        for rule in rules:
            members(rule, {"type": str, "everySeconds": int}, what="rule")
            need(rule["type"] == "expire" and rule["everySeconds"] >= 3600, f"rule {rule}")
        request.facts["rules"] = rules
        if request.method == "PATCH":
            need(request.path == f"/api/v2/buckets/{BUCKET}", request.path)
            members(document, {"retentionRules": list})
            return 200, {}, {"id": BUCKET}
        need(request.method == "POST" and request.path == "/api/v2/buckets", request.target)
        members(document, {"orgID": str, "name": str, "retentionRules": list}, {"description": str})
        need(document["orgID"] == OWNER and document["name"] not in buckets, "orgID and name")
        buckets[document["name"]] = rules
        return 201, {}, {"id": BUCKET, "orgID": OWNER, **document}

    return answer
