import Wire

/// Names from an apiserver: a thread for each kind of object.
final class KubernetesSource {
    let status = SourceStatus()
    let client: APIServerClient
    private let interruption: Interruption
    private var threads: [SystemThread] = []

    /// Begins to list and watch. Comes back at once: names come when the apiserver gives them.
    ///
    /// - Throws: when the process has no descriptor or thread left.
    init(_ access: APIServerAccess, directory: PodDirectory) throws(TransportError) {
        interruption = try Interruption()
        client = APIServerClient(access, interruption: interruption)
        for resource in WatchedResource.all {
            let (client, status, interruption) = (client, status, interruption)
            let thread = try SystemThread.start(name: "watch-\(resource.resource)") {
                var watcher = ResourceWatcher(
                    resource, client: client, directory: directory, status: status,
                    interruption: interruption)
                watcher.run()
            }
            threads.append(thread)
        }
    }

    /// Ends all watches and waits for their threads. Call it once.
    func stop() {
        interruption.interrupt()
        for thread in threads { thread.join() }
    }
}
