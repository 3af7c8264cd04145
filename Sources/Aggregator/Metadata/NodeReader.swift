/// Reads one node.
enum NodeReader {
    static func read(
        _ json: inout JSONScanner, _ decoder: inout ObjectDecoder
    ) throws(JSONError) -> (ObjectDecoder.Metadata, Node) {
        var metadata = ObjectDecoder.Metadata()
        var node = Node(name: "", uid: .text(""))
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "metadata": metadata = try decoder.metadata(&json, keepingAnnotations: true)
            case "spec": try readSpecification(&json, &node)
            case "status": try readStatus(&json, &decoder, &node)
            default: try json.skip()
            }
        }
        node.name = metadata.name
        node.uid = metadata.uid
        node.labels = metadata.labels
        node.annotations = metadata.annotations
        return (metadata, node)
    }

    private static func readSpecification(
        _ json: inout JSONScanner, _ node: inout Node
    ) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "externalID": node.externalID = try json.string().string
            case "unschedulable": node.isUnschedulable = try json.boolean()
            default: try json.skip()
            }
        }
    }

    private static func readStatus(
        _ json: inout JSONScanner, _ decoder: inout ObjectDecoder, _ node: inout Node
    ) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "capacity": node.capacity = try decoder.amounts(&json, field: "capacity")
            case "allocatable": node.allocatable = try decoder.amounts(&json, field: "allocatable")
            case "addresses": try readAddresses(&json, &node)
            case "conditions": try readConditions(&json, &node)
            case "nodeInfo":
                try json.beginObject()
                while let key = try json.nextKey() {
                    switch key {
                    case "kubeletVersion": node.kubeletVersion = try json.string().string
                    default: try json.skip()
                    }
                }
            default: try json.skip()
            }
        }
    }

    /// The first address of each type counts, as in Heapster.
    private static func readAddresses(
        _ json: inout JSONScanner, _ node: inout Node
    ) throws(JSONError) {
        try forEachPair(&json, "type", "address") { type, address in
            switch type {
            case "InternalIP" where node.internalIP.isEmpty: node.internalIP = address
            case "ExternalIP" where node.externalIP.isEmpty: node.externalIP = address
            case "Hostname" where node.hostnameAddress.isEmpty: node.hostnameAddress = address
            default: break
            }
        }
    }

    private static func readConditions(
        _ json: inout JSONScanner, _ node: inout Node
    ) throws(JSONError) {
        try forEachPair(&json, "type", "status") { type, status in
            guard type == "Ready" else { return }
            node.readiness =
                switch status {
                case "True": .ready
                case "False": .notReady
                default: .unknown
                }
        }
    }

    /// Two texts of each object of an array.
    private static func forEachPair(
        _ json: inout JSONScanner, _ first: StaticString, _ second: StaticString,
        _ body: (String, String) -> Void
    ) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginArray()
        while try json.nextElement() {
            var values = ("", "")
            try json.beginObject()
            while let key = try json.nextKey() {
                if first ~= key {
                    values.0 = try json.string().string
                } else if second ~= key {
                    values.1 = try json.string().string
                } else {
                    try json.skip()
                }
            }
            body(values.0, values.1)
        }
    }
}
