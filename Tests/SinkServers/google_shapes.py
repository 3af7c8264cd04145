"""Google's OAuth 2.0 for service accounts, the metadata server, Cloud Monitoring's timeSeries.create and BigQuery's
insertAll, as their references describe them:
https://developers.google.com/identity/protocols/oauth2/service-account
https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/create
https://cloud.google.com/monitoring/api/metrics_kubernetes  https://cloud.google.com/monitoring/api/resources
https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll
"""
import base64
import json
import re
import time as clock
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from shape import members, need, time

SCOPES = {
    "monitoring": {"https://www.googleapis.com/auth/monitoring.write", "https://www.googleapis.com/auth/monitoring"},
    "bigquery": {"https://www.googleapis.com/auth/bigquery.insertdata"}}
TOKEN = "ya29.a-token"
RESOURCES = {
    "gke_container": {"project_id", "cluster_name", "namespace_id", "instance_id", "pod_id", "container_name", "zone"},
    "k8s_container": {"project_id", "location", "cluster_name", "namespace_name", "pod_name", "container_name"},
    "k8s_pod": {"project_id", "location", "cluster_name", "namespace_name", "pod_name"},
    "k8s_node": {"project_id", "location", "cluster_name", "node_name"}}
# Kind, type and labels, by the end of the name.
METRICS = {
    "kubernetes.io/container/cpu/core_usage_time": ("CUMULATIVE", "DOUBLE", set()),
    "kubernetes.io/container/cpu/limit_cores": ("GAUGE", "DOUBLE", set()),
    "kubernetes.io/container/cpu/request_cores": ("GAUGE", "DOUBLE", set()),
    "kubernetes.io/container/memory/limit_bytes": ("GAUGE", "INT64", set()),
    "kubernetes.io/container/memory/request_bytes": ("GAUGE", "INT64", set()),
    "kubernetes.io/container/memory/used_bytes": ("GAUGE", "INT64", {"memory_type"}),
    "kubernetes.io/container/ephemeral_storage/limit_bytes": ("GAUGE", "INT64", set()),
    "kubernetes.io/container/ephemeral_storage/request_bytes": ("GAUGE", "INT64", set()),
    "kubernetes.io/container/ephemeral_storage/used_bytes": ("GAUGE", "INT64", set()),
    "kubernetes.io/container/restart_count": ("CUMULATIVE", "INT64", set()),
    "kubernetes.io/container/uptime": ("GAUGE", "DOUBLE", set()),
    "kubernetes.io/container/accelerator/request": ("GAUGE", "INT64", {"resource_name"}),
    "kubernetes.io/pod/network/received_bytes_count": ("CUMULATIVE", "INT64", set()),
    "kubernetes.io/pod/network/sent_bytes_count": ("CUMULATIVE", "INT64", set()),
    "kubernetes.io/pod/volume/total_bytes": ("GAUGE", "INT64", {"volume_name"}),
    "kubernetes.io/pod/volume/used_bytes": ("GAUGE", "INT64", {"volume_name"}),
    "kubernetes.io/node/cpu/core_usage_time": ("CUMULATIVE", "DOUBLE", set()),
    "kubernetes.io/node/cpu/total_cores": ("GAUGE", "DOUBLE", set()),
    "kubernetes.io/node/cpu/allocatable_cores": ("GAUGE", "DOUBLE", set()),
    "kubernetes.io/node/memory/used_bytes": ("GAUGE", "INT64", {"memory_type"}),
    "kubernetes.io/node/memory/total_bytes": ("GAUGE", "INT64", set()),
    "kubernetes.io/node/memory/allocatable_bytes": ("GAUGE", "INT64", set()),
    "kubernetes.io/node/ephemeral_storage/used_bytes": ("GAUGE", "INT64", set()),
    "kubernetes.io/node/ephemeral_storage/total_bytes": ("GAUGE", "INT64", set()),
    "kubernetes.io/node/ephemeral_storage/allocatable_bytes": ("GAUGE", "INT64", set()),
    "kubernetes.io/node/network/received_bytes_count": ("CUMULATIVE", "INT64", set()),
    "kubernetes.io/node/network/sent_bytes_count": ("CUMULATIVE", "INT64", set()),
    "kubernetes.io/node_daemon/cpu/core_usage_time": ("CUMULATIVE", "DOUBLE", set()),
    "kubernetes.io/node_daemon/memory/used_bytes": ("GAUGE", "INT64", {"memory_type"}),
    "container.googleapis.com/container/uptime": ("CUMULATIVE", "DOUBLE", set()),
    "container.googleapis.com/container/cpu/reserved_cores": ("GAUGE", "DOUBLE", set()),
    "container.googleapis.com/container/cpu/usage_time": ("CUMULATIVE", "DOUBLE", set()),
    "container.googleapis.com/container/memory/bytes_total": ("GAUGE", "INT64", set()),
    "container.googleapis.com/container/memory/bytes_used": ("GAUGE", "INT64", {"memory_type"}),
    "container.googleapis.com/container/memory/page_fault_count": ("CUMULATIVE", "INT64", {"fault_type"}),
    "container.googleapis.com/container/network/received_bytes_count": ("CUMULATIVE", "INT64", set()),
    "container.googleapis.com/container/network/sent_bytes_count": ("CUMULATIVE", "INT64", set()),
    "container.googleapis.com/container/disk/bytes_used": ("GAUGE", "INT64", {"device_name"}),
    "container.googleapis.com/container/disk/bytes_total": ("GAUGE", "INT64", {"device_name"}),
    "container.googleapis.com/container/accelerator/request": ("GAUGE", "INT64", {"resource_name"}),
}
# The columns of cAdvisor's driver (storage/bigquery/bigquery.go), and ours.
COLUMNS = {
    "timestamp": str, "machine": str, "container_name": str, "cluster": str, "namespace": str, "pod": str, "fs_device": str,
    "cpu_cumulative_usage": int, "cpu_cumulative_usage_system": int, "cpu_cumulative_usage_user": int,
    "memory_usage": int, "memory_working_set": int, "memory_container_pgfault": int, "memory_container_pgmajfault": int,
    "rx_bytes": int, "rx_errors": int, "tx_bytes": int, "tx_errors": int, "fs_usage": int, "fs_limit": int}


def make(service, options):
    newest = {}
    # `fail=METRIC,CODE,COUNT`: series whose metric ends so fail with that code in the first COUNT requests.
    failures = []
    for name in ("fail", "failtoo"):
        if name in options:
            metric, code, count = options[name].split(",")
            failures.append({"metric": metric, "code": int(code), "left": int(count), "words": f"no {metric} today"})

    def unpad(text):
        need("=" not in text and "+" not in text and "/" not in text, "a JWT is in base64 for URLs, without padding")
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    def token(request):
        """RFC 7523, and Google's page about service accounts."""
        need(request.headers.get("content-type") == "application/x-www-form-urlencoded", "the grant is no form")
        form = parse_qs(request.body.decode())
        need(set(form) == {"grant_type", "assertion"}, f"the form has {sorted(form)}")
        need(form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"], "the grant's type")
        parts = form["assertion"][0].split(".")
        need(len(parts) == 3, "a JWT has three parts")
        header, claims = json.loads(unpad(parts[0])), json.loads(unpad(parts[1]))
        need(header.get("alg") == "RS256" and header.get("typ") == "JWT", f"the header is {header}")
        members(claims, {"iss": str, "scope": str, "aud": str, "iat": int, "exp": int}, what="claims")
        need(claims["iss"] == options["account"], "iss")
        need(claims["scope"] in SCOPES[service], f"scope {claims['scope']}")
        need(claims["aud"] == f"http://127.0.0.1:{options['port']}/token", f"aud {claims['aud']}")
        need(abs(claims["iat"] - clock.time()) < 300 and 0 < claims["exp"] - claims["iat"] <= 3600, "iat and exp")
        key = serialization.load_pem_public_key(open(options["publickey"], "rb").read())
        try:
            key.verify(unpad(parts[2]), f"{parts[0]}.{parts[1]}".encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return 400, {}, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        return 200, {}, {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3599}

    def metadata(request):
        need(request.headers.get("metadata-flavor") == "Google", "no Metadata-Flavor")
        fields = {"Metadata-Flavor": "Google"}
        if request.path == "/computeMetadata/v1/project/project-id":
            return 200, fields, options["project"].encode()
        need(request.path == "/computeMetadata/v1/instance/service-accounts/default/token", request.path)
        return 200, fields, {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}

    def labels(value, what, known=None):
        need(isinstance(value, dict), f"{what} are no object")
        for name, text in value.items():
            need(isinstance(text, str), f"{what}.{name} is no text")
            need(known is None or name in known, f"{what}.{name} is not described")
            need(len(text) <= 1024, f"{what}.{name} is too long")

    def series(row):
        members(row, {"metric": dict, "metricKind": str, "valueType": str, "points": list}, {"resource": dict}, "timeSeries")
        members(row["metric"], {"type": str, "labels": dict}, what="metric")
        kind, value_type, name = row["metricKind"], row["valueType"], row["metric"]["type"]
        if name.startswith("custom.googleapis.com/"):
            need(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_/.-]{0,199}", name), f"metric {name}")
            labels(row["metric"]["labels"], "metric.labels")
            need(len(row["metric"]["labels"]) <= 30, "a metric has 30 labels at most")
            need("resource" not in row or row["resource"]["type"] == "global", "custom metrics here are global")
        else:
            need(name in METRICS, f"metric {name} is not described")
            need((kind, value_type) == METRICS[name][:2], f"{name} is {METRICS[name][:2]}, not {(kind, value_type)}")
            need(set(row["metric"]["labels"]) == METRICS[name][2], f"labels of {name}: {row['metric']['labels']}")
            members(row.get("resource"), {"type": str, "labels": dict}, what="resource")
            need(row["resource"]["type"] in RESOURCES, f"resource {row['resource']['type']}")
            labels(row["resource"]["labels"], "resource.labels", RESOURCES[row["resource"]["type"]])
        need(len(row["points"]) == 1, "a series has exactly one point in a request")
        point = row["points"][0]
        members(point, {"interval": dict, "value": dict}, what="point")
        members(point["interval"], {"endTime": str}, {"startTime": str}, "interval")
        end = time(point["interval"]["endTime"])
        start = time(point["interval"].get("startTime", end))
        need(kind in ("GAUGE", "CUMULATIVE"), f"metricKind {kind}")
        need(start == end if kind == "GAUGE" else start < end, f"{kind} from {start} to {end}")
        field = {"INT64": "int64Value", "DOUBLE": "doubleValue"}[value_type]
        need(set(point["value"]) == {field}, f"value of a {value_type}: {point['value']}")
        if value_type == "INT64":
            need(isinstance(point["value"][field], str) and re.fullmatch(r"-?\d+", point["value"][field]),
                 "an int64Value is a text of digits")
        else:
            need(isinstance(point["value"][field], (int, float)), "a doubleValue is a number")
        return json.dumps([row["metric"], row.get("resource")], sort_keys=True), end

    def create(request):
        need(request.path == f"/v3/projects/{options['project']}/timeSeries", request.path)
        document = request.json()
        members(document, {"timeSeries": list})
        rows = document["timeSeries"]
        need(0 < len(rows) <= 200, f"{len(rows)} series in a request")
        seen = set()
        failed = {}
        for place, row in enumerate(rows):
            key, end = series(row)
            need(key not in seen, f"twice in a request: {key}")
            seen.add(key)
            need(newest.get(key, "") < end, f"points must be newer than those there are: {key} at {end}")
            failure = next((failure for failure in failures if row["metric"]["type"].endswith(failure["metric"])), None)
            if failure and failure["left"] > 0:
                failed.setdefault((failure["code"], failure["words"]), []).append(place)
            else:
                newest[key] = end
        for failure in failures:
            failure["left"] -= 1
        request.facts.update(points=len(rows), written=len(newest))
        return (400, {}, partial(len(rows), failed)) if failed else (200, {}, {})

    def partial(total, failed):
        """A CreateTimeSeriesSummary, and the message that names places: `timeSeries[0-2,7]`."""
        def places(numbers):
            runs = []
            for number in numbers:
                if runs and runs[-1][1] == number - 1:
                    runs[-1][1] = number
                else:
                    runs.append([number, number])
            return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
        message = "; ".join(f"{words}: timeSeries[{places(numbers)}]" for (_, words), numbers in failed.items())
        summary = {"@type": "type.googleapis.com/google.monitoring.v3.CreateTimeSeriesSummary", "totalPointCount": total,
                   "errors": [{"status": {"code": code, "message": words}, "pointCount": len(numbers)}
                              for (code, words), numbers in failed.items()]}
        # JSON leaves out what is zero.
        if total > sum(map(len, failed.values())):
            summary["successPointCount"] = total - sum(map(len, failed.values()))
        return {"error": {"code": 400, "message": f"One or more TimeSeries could not be written: {message}",
                          "status": "INVALID_ARGUMENT", "details": [summary]}}

    def insert(request):
        need(re.fullmatch(rf"/bigquery/v2/projects/{options['project']}/datasets/\w{{1,1024}}/tables/\w{{1,1024}}/insertAll",
                          request.path), request.path)
        document = request.json()
        members(document, {"rows": list}, {"kind": str, "skipInvalidRows": bool, "ignoreUnknownValues": bool})
        need(document.get("kind", "bigquery#tableDataInsertAllRequest") == "bigquery#tableDataInsertAllRequest", "kind")
        need(0 < len(document["rows"]) <= 50_000 and len(request.body) <= 10 << 20, "too large")
        for row in document["rows"]:
            members(row, {"json": dict}, {"insertId": str})
            need(len(row["insertId"]) <= 128 and row["insertId"] not in newest, "insertId")
            newest[row["insertId"]] = True
            members(row["json"], {"timestamp": str}, COLUMNS, "row")
            time(row["json"]["timestamp"])
        request.facts["points"] = len(document["rows"])
        answer = {"kind": "bigquery#tableDataInsertAllResponse"}
        bad = int(options.get("badrow", "-1"))
        if 0 <= bad < len(document["rows"]):
            answer["insertErrors"] = [{"index": bad, "errors": [{"reason": "invalid", "message": "no such field"}]}]
        return 200, {}, answer

    def answer(request):
        if request.path == "/token":
            return token(request)
        if request.path.startswith("/computeMetadata/"):
            return metadata(request)
        need(request.method == "POST", request.method)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, {}, {"error": {"code": 401, "status": "UNAUTHENTICATED"}}
        return create(request) if service == "monitoring" else insert(request)

    return answer
