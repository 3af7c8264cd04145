extension JSONScanner {
    /// Reads a document that is in memory as a whole.
    static func read<Result>(
        _ bytes: [UInt8], _ body: (inout JSONScanner) throws(JSONError) -> Result
    ) throws(JSONError) -> Result {
        let result = bytes.withUnsafeBytes { bytes -> Swift.Result<Result, JSONError> in
            var json = JSONScanner(bytes)
            do throws(JSONError) {
                return .success(try body(&json))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Walks an object (null counts as an empty one). The body returns false for a value that it left.
    mutating func forEachKey(
        _ body: (String, inout JSONScanner) throws(JSONError) -> Bool
    ) throws(JSONError) {
        if try takeNull() { return }
        try beginObject()
        while let key = try nextKey() {
            if try !body(key.string, &self) { try skip() }
        }
    }

    /// An array of strings, or null.
    mutating func strings() throws(JSONError) -> [String] {
        var found: [String] = []
        if try takeNull() { return found }
        try beginArray()
        while try nextElement() { found.append(try string().string) }
        return found
    }
}
