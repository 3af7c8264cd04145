"""OpenTSDB 2's /api/put, as http://opentsdb.net/docs/build/html/api_http/put.html describes it.

`refuse=NAME` answers for points of that metric that nobody knows it, `throttle=NAME,COUNT` asks for patience with
those of that one in the first COUNT requests, `summary=1` tells only how many failed.
"""
import re

from shape import members, need

WORD = r"[A-Za-z0-9_./-]+"


def make(service, options):
    patience = options.get("throttle", ",0").split(",")
    state = {"left": int(patience[1]), "stored": set()}

    def put(request):
        need(request.method == "POST" and request.path == "/api/put", request.target)
        need(set(request.query) <= {"details", "summary", "sync", "sync_timeout"}, f"query {request.query}")
        points = request.json()
        need(isinstance(points, list) and points, "points are an array")
        errors = []
        for point in points:
            members(point, {"metric": str, "timestamp": int, "value": (int, float), "tags": dict}, what="point")
            need(re.fullmatch(WORD, point["metric"]), f"metric {point['metric']}")
            need(point["tags"], "a point needs a tag")
            for name, value in point["tags"].items():
                need(re.fullmatch(WORD, name) and isinstance(value, str) and re.fullmatch(WORD, value), f"tag {name}={value}")
            # Its own order of tags, and numbers as texts, as Java's maps and OpenTSDB's points have them.
            echo = {**point, "tags": dict(sorted(point["tags"].items(), reverse=True)), "value": str(point["value"])}
            if point["metric"] == options.get("refuse"):
                errors.append({"datapoint": echo, "error": "Unknown metric"})
            elif point["metric"] == patience[0] and state["left"] > 0:
                errors.append({"datapoint": echo, "error": "Please throttle"})
            else:
                state["stored"].add((point["metric"], point["timestamp"], str(sorted(point["tags"].items()))))
        state["left"] -= 1
        request.facts.update(points=len(points), stored=len(state["stored"]))
        answer = {"success": len(points) - len(errors), "failed": len(errors)}
        if "details" in request.query and "summary" not in options:
            answer["errors"] = errors
        return (400 if errors else 200), {}, answer

    return put
