import Wire

/// InfluxDB 2's buckets (<https://docs.influxdata.com/influxdb/v2/api/v2/#tag/Buckets>): the one that is written to is
/// made where it is missing, and keeps points as long as the sink says.
struct InfluxBuckets {
    var credentials: HTTPCredentials
    var basePath: String
    var organisation: String

    /// - Parameter retentionSeconds: 0 for ever, or as it is where the bucket exists.
    func prepare(
        _ name: String, retentionSeconds: Int64, _ exchange: HTTPExchange
    ) throws(SinkError) {
        let rule = retentionSeconds == 0 ? 0 : max(3_600, retentionSeconds)
        let query = "?org=\(URLText.encode(organisation))&name=\(URLText.encode(name))"
        let found = try call(.get, "/api/v2/buckets\(query)", [], exchange)
        if found.status == 200, let bucket = try firstID("buckets", in: found.body) {
            guard rule > 0 else { return }
            try accepted(
                try call(.patch, "/api/v2/buckets/\(bucket)", document(name, rule, nil), exchange),
                "keep points in bucket \(name) for \(rule) s")
            return
        }
        // A name that nothing has is not found, or found as an empty list, by version.
        guard found.status == 200 || found.status == 404 else {
            try accepted(found, "look for bucket \(name)")
            return
        }
        let organisations = try call(
            .get, "/api/v2/orgs?org=\(URLText.encode(organisation))", [], exchange)
        try accepted(organisations, "look for organisation \(organisation)")
        guard let owner = try firstID("orgs", in: organisations.body) else {
            throw .backend("there is no organisation \(organisation) that the token may see")
        }
        try accepted(
            try call(.post, "/api/v2/buckets", document(name, rule, owner), exchange),
            "make bucket \(name)")
    }

    private func document(_ name: String, _ seconds: Int64, _ owner: String?) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        if let owner {
            json.key("orgID")
            json.string(owner)
            json.key("name")
            json.string(name)
        }
        json.key("retentionRules")
        json.beginArray()
        if seconds > 0 {
            json.beginObject()
            json.key("type")
            json.string("expire")
            json.key("everySeconds")
            json.integer(seconds)
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    private func call(
        _ method: HTTPMethod, _ target: String, _ body: [UInt8], _ exchange: HTTPExchange
    ) throws(SinkError) -> HTTPClientAnswer {
        var fields = try credentials.fields()
        if !body.isEmpty { fields.append(("Content-Type", "application/json")) }
        return try exchange(
            HTTPClientRequest(method, basePath + target, fields: fields, body: body))
    }

    private func accepted(_ response: HTTPClientAnswer, _ what: String) throws(SinkError) {
        guard response.status / 100 == 2 else {
            throw .backend("cannot \(what): HTTP \(response.status) \(response.excerpt)")
        }
    }

    /// The member `id` of the first object in the array of that name; `nil` for an empty array.
    private func firstID(_ array: String, in body: [UInt8]) throws(SinkError) -> String? {
        let result = body.withUnsafeBytes { raw -> Result<String?, JSONError> in
            var json = JSONScanner(raw)
            do throws(JSONError) {
                return .success(try Self.firstID(array, &json))
            } catch {
                return .failure(error)
            }
        }
        guard case .success(let id) = result else {
            throw .malformedAnswer("InfluxDB's list of \(array)")
        }
        // It goes into a path.
        guard id?.utf8.allSatisfy(\.isHexadecimalDigit) ?? true else {
            throw .malformedAnswer("InfluxDB: an id in the list of \(array)")
        }
        return id
    }

    private static func firstID(
        _ array: String, _ json: inout JSONScanner
    ) throws(JSONError) -> String? {
        var id: String?
        try json.beginObject()
        while let key = try json.nextKey() {
            guard key.string == array else {
                try json.skip()
                continue
            }
            try json.beginArray()
            while try json.nextElement() {
                try json.beginObject()
                while let key = try json.nextKey() {
                    if "id" ~= key, id == nil {
                        id = try json.string().string
                    } else {
                        try json.skip()
                    }
                }
            }
        }
        return id
    }
}
