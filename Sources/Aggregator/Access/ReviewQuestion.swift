extension ClusterReviews.Question {
    /// The members of a SubjectAccessReview's `spec`.
    func write(into json: inout JSONWriter) {
        json.key("user")
        json.string(user.name)
        json.key("uid")
        json.string(user.uid)
        json.key("groups")
        json.strings(user.groups)
        json.key("extra")
        json.beginObject()
        for extra in user.extra {
            json.key(extra.key)
            json.strings(extra.values)
        }
        json.endObject()
        switch attributes.target {
        case .path(let path):
            json.key("nonResourceAttributes")
            json.beginObject()
            json.pair("path", path)
        case .resource(let resource):
            json.key("resourceAttributes")
            json.beginObject()
            json.pair("group", resource.group)
            json.pair("version", resource.version)
            json.pair("namespace", resource.namespace)
            json.pair("resource", resource.resource)
            json.pair("subresource", resource.subresource)
            json.pair("name", resource.name)
        }
        json.pair("verb", attributes.verb)
        json.endObject()
    }
}

extension JSONWriter {
    fileprivate mutating func pair(_ key: StaticString, _ value: String) {
        self.key(key)
        string(value)
    }

    fileprivate mutating func strings(_ values: [String]) {
        beginArray()
        for value in values { string(value) }
        endArray()
    }
}
