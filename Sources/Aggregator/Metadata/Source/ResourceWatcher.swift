import Wire

/// Keeps one kind of object in the directory as the apiserver has it. Runs on a thread of its own.
///
///      ┌──────────── 410 Gone, or an answer that is not understood ────────────┐
///      v                                                                       │
///     list (in parts) ──complete──> replace in directory ──> watch ──ends──> watch again from the
///      ^   │ fails: pause                                     │ fails: pause      last version seen
///      └───┘                                                  └─> watch again
///
/// Nothing is asked in a hurry: pauses grow from half a second to half a minute with chance in them,
/// and a watch that ends at once counts as a failure. After the apiserver was away the watch goes on
/// where it was; a list is made only when that is refused.
struct ResourceWatcher {
    let resource: WatchedResource
    let client: APIServerClient
    let directory: PodDirectory
    let status: SourceStatus
    let interruption: Interruption
    /// Objects of one part of a list.
    var pageSize = 1_000

    private var decoder = ObjectDecoder()
    private var resourceVersion = ""
    private var backoff = Backoff()

    init(
        _ resource: WatchedResource, client: APIServerClient, directory: PodDirectory,
        status: SourceStatus, interruption: Interruption
    ) {
        self.resource = resource
        self.client = client
        self.directory = directory
        self.status = status
        self.interruption = interruption
    }

    /// Bookmarks come every minute; a watch that is silent for longer is opened anew.
    private static let watchIdleSeconds = 150

    /// Takes the thread until interrupted.
    mutating func run() {
        while !interruption.isInterrupted {
            do throws(SourceError) {
                if resourceVersion.isEmpty { try list() }
                try watchOnce()
            } catch {
                guard !interruption.isInterrupted else { return }
                if error == .expired {
                    Diagnostics.debug("\(resource.resource): watch expired, listing again")
                    resourceVersion = ""
                } else {
                    if case .list = error { resourceVersion = "" }
                    status.failed(resource, error, now: Self.now())
                }
                guard interruption.sleep(milliseconds: pause(after: error)) else { return }
            }
        }
    }

    /// A missing permission does not come back within seconds.
    private mutating func pause(after error: SourceError) -> Int {
        let pause = backoff.pause()
        guard case .status(_, 403, _, _) = error else { return pause }
        if resource.isOptional { return Int.random(in: 240_000...300_000) }
        // Who may list but not watch gets a list a minute instead of names that grow old.
        guard !resourceVersion.isEmpty else { return pause }
        resourceVersion = ""
        return Int.random(in: 45_000...60_000)
    }

    private static func now() -> Int64 { Int64(Clock.system.realtimeNanoseconds / 1_000_000) }

    // MARK: List

    private mutating func list() throws(SourceError) {
        var reader = ObjectListReader(itemKind: resource.kind, decoder: decoder)
        // Not held twice: the reader has it now.
        decoder = ObjectDecoder(textCount: 16)
        defer { decoder = reader.decoder }
        var continueToken = ""
        var version = ""
        repeat {
            var target = "\(resource.path)?limit=\(pageSize)"
            if !continueToken.isEmpty {
                target += "&continue=\(PercentEncoding.encoded(continueToken))"
            }
            let envelope = try listPage(target, &reader)
            continueToken = envelope.continueToken
            // All parts are of the first one's moment.
            if version.isEmpty { version = envelope.resourceVersion }
            reader.beginNextPage()
        } while !continueToken.isEmpty && !interruption.isInterrupted
        guard !interruption.isInterrupted else { return }
        replace(reader.objects)
        resourceVersion = version
        let now = Self.now()
        status.update(resource) { entry in
            entry.listed = now
            entry.lists += 1
        }
        status.worked(resource, now: now)
        backoff.reset()
    }

    private func listPage(
        _ target: String, _ reader: inout ObjectListReader
    ) throws(SourceError) -> ObjectListReader.Envelope {
        var request = HTTPClientRequest(.get, target)
        request.fields = [(name: "Accept", value: resource.accept("List"))]
        let url = "\(client.access.server)\(resource.path)"
        let response = try client.open(request, resource.purpose("list"))
        var failure: ObjectError?
        try APIServerClient.read(response, url) { piece in
            do throws(ObjectError) {
                try reader.read(piece)
                return true
            } catch {
                failure = error
                return false
            }
        }
        do throws(ObjectError) {
            if let failure { throw failure }
            return try reader.finish()
        } catch {
            throw .list(url: url, error)
        }
    }

    private func replace(_ objects: ObjectListReader.Objects) {
        let now = Self.now()
        switch resource.kind {
        case "Pod": directory.replacePods(objects.pods, now: now)
        case "Node": directory.replaceNodes(objects.nodes, now: now)
        case "Namespace": directory.replaceNamespaces(objects.namespaces, now: now)
        default: directory.replaceOwned(kind: resource.kind, objects.owned, now: now)
        }
    }

    // MARK: Watch

    private mutating func watchOnce() throws(SourceError) {
        let began = Clock.system.monotonicNanoseconds
        // Not all at the same moment again, and not for ever: the apiserver spreads its load so.
        let seconds = Int.random(in: 300...600)
        var request = HTTPClientRequest(
            .get,
            "\(resource.path)?watch=1&allowWatchBookmarks=true&timeoutSeconds=\(seconds)"
                + "&resourceVersion=\(PercentEncoding.encoded(resourceVersion))")
        request.fields = [(name: "Accept", value: resource.accept(""))]
        request.idleSeconds = Self.watchIdleSeconds
        let url = "\(client.access.server)\(resource.path)"
        let response = try client.open(request, resource.purpose("watch"))
        status.worked(resource, now: Self.now())
        var splitter = JSONSplitter(.documents)
        var failure: SourceError?
        var eventCount = 0
        do throws(SourceError) {
            try APIServerClient.read(response, url) { piece in
                do throws(SourceError) {
                    eventCount += try take(piece, &splitter, url)
                    return true
                } catch {
                    failure = error
                    return false
                }
            }
        } catch {
            // The silence of a kind that does not change is no failure.
            guard case .request(_, .timedOut(.body, _, _)) = error else { throw error }
            Diagnostics.debug("\(resource.resource): the watch was silent, opening it anew")
        }
        if let failure { throw failure }
        let lasted = Clock.system.monotonicNanoseconds - began
        if eventCount > 0 || lasted > 5_000_000_000 {
            backoff.reset()
        } else {
            // Ended at once and said nothing: no busy loop.
            _ = interruption.sleep(milliseconds: backoff.pause())
        }
    }

    /// Applies the events that end in a piece; how many there were.
    private mutating func take(
        _ piece: UnsafeRawBufferPointer, _ splitter: inout JSONSplitter, _ url: String
    ) throws(SourceError) -> Int {
        var index = 0
        var count = 0
        while true {
            let event: WatchEvent
            let offset: Int
            do throws(JSONError) {
                guard let item = try splitter.next(in: piece, at: &index) else { return count }
                event = try WatchEvent(parsing: item.bytes, offset: item.offset)
                offset = item.offset
            } catch {
                throw .list(url: url, .json(error))
            }
            if event.kind == .error { throw Self.fault(event, url, resource.purpose("watch")) }
            do {
                try apply(event, offset)
            } catch {
                throw .list(url: url, error)
            }
            count += 1
        }
    }

    private static func fault(
        _ event: WatchEvent, _ url: String, _ purpose: APIServerClient.Purpose
    ) -> SourceError {
        let status = WatchStatus(parsing: event.object)
        let code = Int(clamping: status?.code ?? 0)
        if code == 410 { return .expired }
        return .status(
            url: url, status: code, message: status?.message ?? "",
            remedy: APIServerClient.remedy(code, purpose))
    }

    private mutating func apply(_ event: WatchEvent, _ offset: Int) throws(ObjectError) {
        let change: MetadataChange
        switch (resource.kind, event.kind) {
        case (_, .bookmark):
            resourceVersion = try decoder.resourceVersion(event.object, offset: offset)
            return
        case (_, .other), (_, .error): return
        case ("Pod", .deleted):
            change = .podRemoved(try decoder.pod(event.object, offset: offset).uid)
        case ("Pod", _): change = .pod(try decoder.pod(event.object, offset: offset))
        case ("Node", .deleted):
            change = .nodeRemoved(name: try decoder.node(event.object, offset: offset).name)
        case ("Node", _): change = .node(try decoder.node(event.object, offset: offset))
        case ("Namespace", .deleted):
            change = .namespaceRemoved(
                name: try decoder.namespace(event.object, offset: offset).name)
        case ("Namespace", _):
            change = .namespace(try decoder.namespace(event.object, offset: offset))
        case (let kind, .deleted):
            change = .ownedRemoved(try decoder.owned(event.object, kind: kind, offset: offset).uid)
        case (let kind, _):
            change = .owned(try decoder.owned(event.object, kind: kind, offset: offset))
        }
        // Only forward: what was read is applied before its version is remembered.
        directory.apply(change, now: Self.now())
        if !decoder.lastResourceVersion.isEmpty { resourceVersion = decoder.lastResourceVersion }
        status.update(resource) { $0.events += 1 }
    }
}
