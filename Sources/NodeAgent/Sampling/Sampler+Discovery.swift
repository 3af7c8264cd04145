import Wire

/// How cgroups become subjects and stop being them.
extension Sampler {
    /// Looks for cgroups that came and went; what that changed since the last call.
    func discover(_ begin: Int64) -> [SubjectChange] {
        let now = begin / 1_000_000
        look(now, isRescan: now - lastRescan >= configuration.rescanIntervalMilliseconds)
        return registry.takeChanges()
    }

    /// The same at `now`, in milliseconds, without taking the changes.
    func look(_ now: Int64, isRescan: Bool) {
        guard let tree else { return }
        var change = tree.update()
        var isRetry = false
        if isRescan {
            lastRescan = now
            let more = tree.rescan()
            change.added += more.added
            change.removed += more.removed
            betweenParts()
            readMachine()
            betweenParts()
            readAnew(cgroups?.recovered(onlyFailed: false) ?? [])
            podsToResolve.formUnion(podsUnresolved)
            podsUnresolved.removeAll(keepingCapacity: true)
            lookForStorage()
        } else if now - lastRetry >= configuration.retryIntervalMilliseconds {
            lastRetry = now
            isRetry = true
            if let cgroups, cgroups.hasFailedSources {
                readAnew(cgroups.recovered(onlyFailed: true))
            }
            lookForStorage()
        }
        for path in change.removed { forget(path) }
        if !unstarted.isEmpty { settleStarts(now, isRetry) }
        // A directory that outlived some of its files is sampled anew with what it has.
        for path in lost where tree.nodes[path] != nil && cgroups?.entry(of: path) == nil {
            if !change.added.contains(path) { change.added.append(path) }
        }
        lost.removeAll(keepingCapacity: true)
        if !change.added.isEmpty || !pending.isEmpty { admit(change.added, now) }
        if !podsToResolve.isEmpty { resolveNetworks() }
        if isFirstDiscovery { lookForStorage() }
        isFirstDiscovery = false
    }

    /// Makes subjects of new cgroups as soon as they have a process, or have waited long enough.
    private func admit(_ added: [String], _ now: Int64) {
        guard let tree, let start else { return }
        var candidates = Set(pending.keys).union(added).filter { tree.nodes[$0] != nil }
        if !configuration.groups.contains(.system) {
            candidates = candidates.filter { Self.belongsToPods(tree.nodes[$0]?.identity) }
        }
        let bootTime = bootTimeSeconds()
        var starts: [String: Int64] = [:]
        // Deepest first, so that a pod's start is its oldest container's.
        let ordered = candidates.sorted { ($0.utf8.count, $0) < ($1.utf8.count, $1) }
        for path in ordered.reversed() {
            let own = start.time(of: start.processIDs(of: path), bootTimeSeconds: bootTime)
            if let first = [own, starts[path]].compactMap({ $0 }).min() {
                starts[path] = first
                let parent = CgroupTree.parent(of: path)
                starts[parent] = min(starts[parent] ?? first, first)
            }
        }
        pending = pending.filter { candidates.contains($0.key) }
        for path in ordered {
            let firstSeen = pending[path] ?? now
            let hasWaited = now - firstSeen >= configuration.emptyCgroupDelayMilliseconds
            guard starts[path] != nil || hasWaited || isFirstDiscovery else {
                pending[path] = firstSeen
                continue
            }
            pending[path] = nil
            if starts[path] == nil, Self.isPodOrContainer(tree.nodes[path]?.identity) {
                unstarted[path] = now
            }
            let time =
                starts[path]
                ?? start.directoryTime(
                    of: path, bootTimeSeconds: bootTime, now: clock.realtimeMilliseconds)
            add(path, startTime: time)
        }
    }

    /// Makes cgroups' subjects anew, with the files that they have by now.
    func readAnew(_ paths: [String]) {
        for path in paths {
            // A pod's subject may get another slot, and its containers name it as their parent.
            let children = cgroups?.entry(of: path)?.kind == .pod ? tree?.children(of: path) : nil
            for child in (children ?? []).map({ path + "/" + $0 }) + [path]
            where cgroups?.entry(of: child) != nil {
                forget(child, isComingBack: true)
                lost.append(child)
            }
        }
    }

    /// Gives the cgroups that have got their first process its start. Those that are empty for more
    /// than a minute are looked at every ten seconds.
    private func settleStarts(_ now: Int64, _ isRetry: Bool) {
        guard let tree, let start else { return }
        // A pod may be empty for ever: no list is made of it in a step that does not look.
        let limit = configuration.rescanIntervalMilliseconds
        guard isRetry || unstarted.values.contains(where: { now - $0 < limit }) else { return }
        for (path, since) in unstarted.sorted(by: { $0.key < $1.key }) {
            guard cgroups?.entry(of: path) != nil else {
                unstarted[path] = nil
                continue
            }
            guard isRetry || now - since < limit else { continue }
            let paths = [path] + (tree.children(of: path) ?? []).map { path + "/" + $0 }
            let hasProcess = paths.contains {
                start.time(of: start.processIDs(of: $0), bootTimeSeconds: 0) != nil
            }
            guard hasProcess else { continue }
            unstarted[path] = nil
            readAnew([path])
        }
    }

    private static func isPodOrContainer(_ identity: PodCgroupPath?) -> Bool {
        switch identity {
        case .pod, .container: true
        default: false
        }
    }

    private static func belongsToPods(_ identity: PodCgroupPath?) -> Bool {
        switch identity {
        case .pod, .container, .podGroup: true
        default: false
        }
    }

    private func bootTimeSeconds() -> Int64 {
        if node.bootTimeSeconds > 0 { return node.bootTimeSeconds }
        return Int64(machine.bootTimeMilliseconds / 1_000)
    }

    private func add(_ path: String, startTime: Int64) {
        guard let cgroups, let identity = tree?.nodes[path]?.identity,
            cgroups.entry(of: path) == nil
        else { return }
        let parentPath = CgroupTree.parent(of: path)
        var parent = nodeSlot
        if case .container = identity, let pod = cgroups.entry(of: parentPath) { parent = pod.slot }
        let subject = self.subject(path, identity, parent, startTime)
        guard let slot = cgroups.add(path, subject, parent: parent, registry: &registry) else {
            return
        }
        newPaths.append(path)
        hugePages?.add(path, owner: slot, registry: &registry)
        switch identity {
        case .pod(let uid, _, let driver):
            podSlots[uid] = slot
            filesystems?.podsChanged()
            storage?.add(.pod(uid: uid), slot)
            learn(driver)
        case .container(_, _, let id, _):
            if parent != nodeSlot { podsToResolve.insert(parentPath) }
            if subject.attributes[.sandbox] == nil {
                storage?.add(.container(id: id, path: path), slot)
            }
        case .insidePod, .podGroup, .other: break
        }
    }

    private func lookForStorage() {
        guard let storage, let start else { return }
        storage.look { start.processIDs(of: $0).first }
    }

    /// The driver shows in the first pod's path.
    private func learn(_ driver: PodCgroupPath.Driver) {
        guard self.driver == nil else { return }
        self.driver = driver
        machine.cgroupDriver = driver.rawValue
    }

    func forget(_ path: String, isComingBack: Bool = false) {
        unstarted[path] = nil
        guard let cgroups, let entry = cgroups.entry(of: path) else {
            pending[path] = nil
            return
        }
        hugePages?.remove(path, registry: &registry)
        storage?.remove(entry.slot, registry: &registry)
        if entry.kind == .pod {
            network?.remove(entry.slot, registry: &registry)
            filesystems?.podsChanged()
            filesystems?.remove(ofPod: entry.slot, registry: &registry)
            podSlots = podSlots.filter { $0.value != entry.slot }
            // Its containers went before it, and each left it here.
            podsToResolve.remove(path)
            podsUnresolved.remove(path)
        } else if entry.kind == .container {
            podsToResolve.insert(CgroupTree.parent(of: path))
        }
        cgroups.remove(path, isComingBack: isComingBack, registry: &registry)
    }
}
