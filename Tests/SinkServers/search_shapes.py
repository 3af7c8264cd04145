"""Amazon OpenSearch: every request must be signed as botocore, AWS's own library, would have signed it
(https://docs.aws.amazon.com/opensearch-service/latest/developerguide/request-signing.html)."""
import calendar
import hashlib
import json
import re
import time as clock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from shape import need


def make(service, options):
    def signature(request, signed, stamp):
        headers = {name: request.headers.get(name) for name in signed if name != "host"}
        theirs = AWSRequest(request.method, f"http://{request.headers['host']}{request.target}", headers, request.body)
        theirs.context["timestamp"] = stamp
        auth = SigV4Auth(Credentials(options["access"], options["secret"]), options["service"], options["region"])
        canonical = auth.canonical_request(theirs)
        return auth.signature(auth.string_to_sign(theirs, canonical), theirs)

    def answer(request):
        match = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})", request.headers.get("authorization", ""))
        need(match, "not signed")
        access, day, region, name, signed, theirs = match.groups()
        need((access, region, name) == (options["access"], options["region"], options["service"]), "the credential's scope")
        stamp = request.headers.get("x-amz-date", "")
        need(stamp.startswith(day), "the date is not the scope's")
        age = clock.time() - calendar.timegm(clock.strptime(stamp, "%Y%m%dT%H%M%SZ"))
        need(abs(age) < 300, "the date is not now")
        signed = signed.split(";")
        need(signed == sorted(signed) and {"host", "x-amz-date"} <= set(signed), f"signed fields {signed}")
        need(request.headers.get("x-amz-content-sha256") == hashlib.sha256(request.body).hexdigest(), "the body's digest")
        if "token" in options:
            need(request.headers.get("x-amz-security-token") == options["token"], "the session's token")
            need("x-amz-security-token" in signed, "the session's token is not signed")
        if theirs != signature(request, signed, stamp):
            return 403, {}, {"message": "The request signature we calculated does not match the signature you provided."}
        if request.path == "/":
            return 200, {}, {"version": {"distribution": "opensearch", "number": "2.11.0"}}
        if request.method == "PUT":
            need(json.loads(request.body)["index_patterns"], "a template without patterns")
            return 200, {}, {"acknowledged": True}
        need(request.path.endswith("/_bulk"), request.path)
        actions = [json.loads(line) for line in request.body.split(b"\n")[:-1]][::2]
        request.facts["documents"] = len(actions)
        items = [{action: {"_id": meta["_id"], "status": 201}} for row in actions for action, meta in row.items()]
        return 200, {}, {"took": 1, "errors": False, "items": items}

    return answer
