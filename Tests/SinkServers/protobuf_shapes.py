"""What travels as protobuf: OTLP, read by OpenTelemetry's own messages, and Prometheus remote write 2.0, read by Google's
library with the messages that its specification prints.
https://opentelemetry.io/docs/specs/otlp/#otlphttp  https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/
"""
import re

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

from shape import Violation, need


def read(kind, body):
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise Violation(f"not a {kind.DESCRIPTOR.full_name}: {error}")
    size = message.ByteSize()
    message.DiscardUnknownFields()
    need(size == message.ByteSize(), f"fields that no {kind.DESCRIPTOR.full_name} has")
    return message


def otlp(request):
    need(request.method == "POST" and request.path == "/v1/metrics", request.target)
    need(request.headers.get("content-type") == "application/x-protobuf", "not application/x-protobuf")
    message = read(metrics_service_pb2.ExportMetricsServiceRequest, request.body)
    points, names, attributes = 0, set(), set()
    for resource in message.resource_metrics:
        keys = [pair.key for pair in resource.resource.attributes]
        need(len(set(keys)) == len(keys), f"attributes twice: {keys}")
        for pair in resource.resource.attributes:
            need(pair.value.WhichOneof("value") == "string_value", pair.key)
            attributes.add(f"{pair.key}={pair.value.string_value}")
        for scope in resource.scope_metrics:
            need(scope.scope.name, "a scope without a name")
            for metric in scope.metrics:
                need(re.fullmatch(r"[a-z][a-z0-9_.\-/]{0,254}", metric.name), metric.name)
                need(metric.unit, f"{metric.name} has no unit")
                data = metric.WhichOneof("data")
                need(data in ("gauge", "sum"), f"{metric.name} is a {data}")
                if data == "sum":
                    # AGGREGATION_TEMPORALITY_CUMULATIVE
                    need(metric.sum.aggregation_temporality == 2 and metric.sum.is_monotonic, metric.name)
                names.add(f"{metric.name} {data} {metric.unit}")
                for point in getattr(metric, data).data_points:
                    need(point.WhichOneof("value"), f"{metric.name} has no value")
                    need(0 <= point.start_time_unix_nano <= point.time_unix_nano > 0, f"{metric.name}: times")
                    points += 1
    need(points, "a request without points")
    request.facts.update(points=points, names=sorted(names), attributes=sorted(attributes))
    answer = metrics_service_pb2.ExportMetricsServiceResponse().SerializeToString()
    return 200, {"Content-Type": "application/x-protobuf"}, answer


def messages():
    """The part of io.prometheus.write.v2 that has no histograms."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="write_v2.proto", package="io.prometheus.write.v2", syntax="proto3")

    def add(name, *fields):
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            row = message.field.add(
                name=field, number=number, label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL)
            if isinstance(kind, str):
                row.type, row.type_name = kinds.TYPE_MESSAGE, f".io.prometheus.write.v2.{kind}"
            else:
                row.type = kind

    add("Sample", ("value", 1, kinds.TYPE_DOUBLE, False), ("timestamp", 2, kinds.TYPE_INT64, False),
        ("start_timestamp", 3, kinds.TYPE_INT64, False))
    # The type is an enumeration: 1 a counter, 2 a gauge.
    add("Metadata", ("type", 1, kinds.TYPE_INT32, False), ("help_ref", 3, kinds.TYPE_UINT32, False),
        ("unit_ref", 4, kinds.TYPE_UINT32, False))
    add("TimeSeries", ("labels_refs", 1, kinds.TYPE_UINT32, True), ("samples", 2, "Sample", True),
        ("metadata", 5, "Metadata", False))
    add("Request", ("symbols", 4, kinds.TYPE_STRING, True), ("timeseries", 5, "TimeSeries", True))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(
        pool.FindMessageTypeByName("io.prometheus.write.v2.Request"))


def remote_write(kind):
    def answer(request):
        import snappy

        need(request.method == "POST" and request.path == "/api/v1/write", request.target)
        for field, value in (("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
                             ("content-encoding", "snappy"), ("x-prometheus-remote-write-version", "2.0.0")):
            need(request.headers.get(field) == value, f"{field}: {request.headers.get(field)}")
        need(request.headers.get("user-agent"), "no User-Agent")
        message = read(kind, snappy.uncompress(request.body))
        symbols = list(message.symbols)
        need(symbols and symbols[0] == "" and len(set(symbols)) == len(symbols), "symbols")
        points, names = 0, set()
        for series in message.timeseries:
            refs = list(series.labels_refs)
            need(refs and len(refs) % 2 == 0 and max(refs) < len(symbols), f"references {refs}")
            labels = [(symbols[refs[i]], symbols[refs[i + 1]]) for i in range(0, len(refs), 2)]
            keys = [key for key, _ in labels]
            need(keys == sorted(set(keys)), f"labels out of order or twice: {keys}")
            need(all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", key) and value for key, value in labels), f"{labels}")
            name = dict(labels).get("__name__", "")
            need(re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", name), f"name {name}")
            kind_of = {1: "counter", 2: "gauge"}.get(series.metadata.type)
            need(kind_of and (kind_of == "counter") == name.endswith("_total"), f"{name} is a {kind_of}")
            need(series.metadata.help_ref < len(symbols) and series.metadata.unit_ref < len(symbols), "metadata")
            need(len(series.samples) == 1 and series.samples[0].timestamp > 0, f"{name}: samples")
            points += 1
            names.add(f"{name} {kind_of}")
        need(points, "a request without samples")
        request.facts.update(points=points, names=sorted(names))
        return 204, {"X-Prometheus-Remote-Write-Samples-Written": str(points)}, b""

    return answer


def make(service, options):
    return otlp if service == "otlp" else remote_write(messages())
