"""Honeycomb, Librato and Hawkular, as their references describe them:
https://docs.honeycomb.io/api/tag/Events  https://www.librato.com/docs/api/#create-a-measurement
https://www.hawkular.org/docs/rest/rest-metrics.html
"""
import base64
import re

from shape import members, need, time


def make(service, options):
    def basic(request, user, password):
        want = base64.b64encode(f"{user}:{password}".encode()).decode()
        return request.headers.get("authorization") == f"Basic {want}"

    def honeycomb(request):
        need(request.method == "POST" and request.path == f"/1/batch/{options['dataset']}", request.target)
        if request.headers.get("x-honeycomb-team") != options["key"]:
            return 401, {}, {"error": "unknown API key - check your credentials"}
        need(len(request.body) <= 5 << 20, "a batch has 5 MB at most")
        events = request.json()
        need(isinstance(events, list), "a batch is an array")
        for event in events:
            # Names without regard to case, as Go reads them.
            event = {name.lower(): value for name, value in event.items()}
            members(event, {"data": dict}, {"time": str, "timestamp": str, "samplerate": int}, "event")
            time(event.get("time", event.get("timestamp", "1970-01-01T00:00:00Z")))
            need(0 < len(event["data"]) <= 2000, "an event has 1 to 2000 columns")
        request.facts["points"] = len(events)
        # Every event has an answer of its own.
        statuses = [int(status) for status in options.get("statuses", "").split(",") if status]
        answers = [{"status": (statuses[i] if i < len(statuses) else 202)} for i in range(len(events))]
        options["statuses"] = ""
        return 200, {}, answers

    def librato(request):
        need(request.method == "POST" and request.path == "/v1/measurements", request.target)
        if not basic(request, options["user"], options["token"]):
            return 401, {}, {"errors": {"request": ["Authorization Required"]}}
        document = request.json()
        members(document, {"measurements": list}, {"tags": dict, "time": int})
        need(0 < len(document["measurements"]) <= 1000, f"{len(document['measurements'])} measurements in a request")
        for m in document["measurements"]:
            members(m, {"name": str, "value": (int, float)}, {"tags": dict, "time": int, "period": int}, "measurement")
            need(re.fullmatch(r"[A-Za-z0-9.:\-_]{1,255}", m["name"]), f"name {m['name']}")
            tags = {**document.get("tags", {}), **m.get("tags", {})}
            need(0 < len(tags) <= 50, "a measurement has 1 to 50 tags")
            for name, value in tags.items():
                need(re.fullmatch(r"[-.:_\w]{1,64}", name, re.ASCII), f"tag {name}")
                need(isinstance(value, str) and re.fullmatch(r"[-.:_\w ]{1,255}", value, re.ASCII), f"tag {name} {value!r}")
        request.facts["points"] = len(document["measurements"])
        return 202, {}, {}

    def hawkular(request):
        tenant = request.headers.get("hawkular-tenant")
        need(tenant in options["tenant"].split(","), f"tenant {tenant}")
        request.facts["tenant"] = tenant
        if not basic(request, options["user"], options["password"]):
            return 401, {}, {}
        match = re.fullmatch(r"/hawkular/metrics/(gauges|counters)/(?:raw|(.+)/tags)", request.path)
        need(match, request.path)
        document = request.json()
        if request.method == "PUT":
            need(match[2] and document, "tags of nothing")
            for name, value in document.items():
                need(name and isinstance(value, str), f"tag {name}")
            request.facts["tags"] = match[2]
            return 200, {}, {}
        need(request.method == "POST" and not match[2] and isinstance(document, list), request.method)
        for row in document:
            members(row, {"id": str, "data": list}, what="metric")
            need(row["id"] and row["data"], "a metric without id or data")
            for point in row["data"]:
                members(point, {"timestamp": int, "value": (int, float)}, {"tags": dict}, "point")
                need(match[1] == "gauges" or point["value"] == int(point["value"]), "a counter is a whole number")
        request.facts.update(points=sum(len(row["data"]) for row in document), ids=[row["id"] for row in document])
        return 200, {}, {}

    return {"honeycomb": honeycomb, "librato": librato, "hawkular": hawkular}[service]
