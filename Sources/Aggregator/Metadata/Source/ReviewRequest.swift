extension HTTPClientRequest {
    /// A question to the apiserver: an object with nothing but a `spec`, whose answer has a `status`.
    ///
    /// - Parameter specification: writes the fields of `spec`.
    static func review(
        _ path: String, version: String, kind: String,
        _ specification: (inout JSONWriter) -> Void
    ) -> HTTPClientRequest {
        var json = JSONWriter()
        json.beginObject()
        json.key("apiVersion")
        json.string(version)
        json.key("kind")
        json.string(kind)
        json.key("spec")
        json.beginObject()
        specification(&json)
        json.endObject()
        json.endObject()
        var request = HTTPClientRequest(.post, path)
        request.fields = [
            (name: "Content-Type", value: "application/json"),
            (name: "Accept", value: "application/json"),
        ]
        request.body = json.bytes
        return request
    }
}
