/// One line of a watch: what became of an object.
struct WatchEvent {
    enum Kind: Equatable { case added, modified, deleted, bookmark, error, other }

    var kind = Kind.other
    /// The object's bytes. Valid as long as the event's.
    var object = UnsafeRawBufferPointer(start: nil, count: 0)

    /// Reads `{"type":…,"object":{…}}`, in either order.
    init(parsing bytes: UnsafeRawBufferPointer, offset: Int) throws(JSONError) {
        var json = JSONScanner(bytes, baseOffset: offset)
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "type":
                switch try json.string() {
                case "ADDED": kind = .added
                case "MODIFIED": kind = .modified
                case "DELETED": kind = .deleted
                case "BOOKMARK": kind = .bookmark
                case "ERROR": kind = .error
                default: kind = .other
                }
            case "object":
                // Behind the white space, then behind the value.
                _ = try json.peek()
                let start = json.position
                try json.skip()
                object = UnsafeRawBufferPointer(rebasing: bytes[start..<json.position])
            default: try json.skip()
            }
        }
        try json.end()
    }
}
