"""What schemathesis does not know by itself."""

import schemathesis


@schemathesis.serializer("application/openmetrics-text")
def openmetrics(context, value):
    return str(value).encode("utf-8", "replace")
