/// In which form an object of the aggregated APIs is answered, by the request's `Accept`.
enum KubernetesFormat: Equatable {
    case json
    case protobuf
    /// `as=Table` in that version of `meta.k8s.io`.
    case table(String)
    /// `as=PartialObjectMetadata` or its list.
    case metadata(String)

    /// The first of the most wanted forms that there is; `nil` when there is none (406).
    ///
    /// - Parameter objects: whether the resource can be told as a table or by its metadata.
    init?(_ request: HTTPRequest, objects: Bool = true) {
        var best: (form: KubernetesFormat, quality: Double)?
        var isEmpty = true
        request.forEachValue(of: "accept") { value in
            HTTPSyntax.forEachElement(value) { element in
                isEmpty = false
                let text = String(decoding: element, as: UTF8.self)
                guard let (form, quality) = Self.form(text, objects), quality > 0,
                    quality > best?.quality ?? 0
                else { return }
                best = (form, quality)
            }
        }
        if isEmpty {
            self = .json
        } else if let best {
            self = best.form
        } else {
            return nil
        }
    }

    private static func form(
        _ text: String, _ objects: Bool
    ) -> (KubernetesFormat, Double)? {
        let parts = text.split(separator: ";").map { $0.filter { $0 != " " } }
        guard let type = parts.first?.lowercased() else { return nil }
        var parameters: [String: String] = [:]
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1)
            if pair.count == 2 { parameters[pair[0].lowercased()] = String(pair[1]) }
        }
        let quality = parameters["q"].flatMap { Double($0) } ?? 1
        let isJSON = ["application/json", "application/*", "*/*", "*"].contains(type)
        guard let conversion = parameters["as"] else {
            if isJSON { return (.json, quality) }
            return type == "application/vnd.kubernetes.protobuf" ? (.protobuf, quality) : nil
        }
        let version = parameters["v"] ?? "v1"
        guard objects, isJSON, parameters["g"] ?? "meta.k8s.io" == "meta.k8s.io",
            version == "v1" || version == "v1beta1"
        else { return nil }
        switch conversion {
        case "Table": return (.table(version), quality)
        case "PartialObjectMetadata", "PartialObjectMetadataList":
            return (.metadata(version), quality)
        default: return nil
        }
    }
}
