import Foundation

@testable import Aggregator

/// Objects for tests, and their JSON as the apiserver writes it.
enum MetadataMaker {
    static func uid(_ number: Int) -> ObjectUID {
        ObjectUID(
            "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - "\(number)".count)
                + "\(number)")
    }

    static func containerID(_ number: Int) -> ContainerID {
        let digits = String(number, radix: 16)
        return ContainerID(digits + String(repeating: "c", count: 64 - digits.count))
    }

    static func pod(
        _ number: Int, name: String? = nil, namespace: String = "default", node: String = "n1",
        containers: [Int] = [], phase: Pod.Phase = .running, cpu: Int64 = 100,
        labels: [String: String] = [:], controller: OwnerReference? = nil,
        configHash: ObjectUID? = nil
    ) -> Pod {
        var parts = Pod.Parts()
        parts.uid = uid(number)
        parts.name = name ?? "pod-\(number)"
        parts.namespace = namespace
        parts.nodeName = node
        parts.phase = phase
        parts.labels = LabelSet(labels)
        parts.controller = controller
        parts.configHash = configHash
        parts.containers = containers.enumerated().map { index, id in
            var container = Pod.Container(name: "c\(index)", image: "i\(index)")
            container.id = id == 0 ? .none : containerID(id)
            container.resources = ContainerResources(
                requests: ResourceAmounts(cpuMillicores: cpu), limits: ResourceAmounts())
            return container
        }
        return Pod(parts)
    }

    /// A pod with every field that is read and many that are not.
    static let fullPodJSON = #"""
        {"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-7d4b9c-x2x","generateName":"web-7d4b9c-",
        "namespace":"shop","uid":"6d7e6a8e-1111-4222-8333-444455556666","resourceVersion":"42",
        "creationTimestamp":"2026-01-01T00:00:00Z","deletionTimestamp":"2026-01-02T00:00:00Z",
        "labels":{"tier":"front","app":"we\u0062"},"annotations":{"kubernetes.io/config.hash":"0123456789abcdef0123456789abcdef","a":"{\"b\":[}"},
        "ownerReferences":[{"apiVersion":"v1","kind":"Other","name":"o","uid":"x"},
        {"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-7d4b9c","uid":"aaaaaaaa-1111-4222-8333-444455556666","controller":true}],
        "managedFields":[{"fieldsV1":{"f:metadata":{"f:labels":{".":{}}}}}]},
        "spec":{"initContainers":[{"name":"setup","image":"busybox:1","resources":{"requests":{"cpu":"2"}}},
        {"name":"proxy","image":"envoy:2","restartPolicy":"Always","resources":null}],
        "containers":[{"name":"app","image":"shop/web:1.2","env":[{"name":"containers","value":"]}"}],
        "resources":{"limits":{"cpu":"1","memory":"1Gi","nvidia.com/gpu":"2"},"requests":{"memory":"512Mi","cpu":"250m","ephemeral-storage":"1500M","nvidia.com/gpu":"2"}}},
        {"name":"log","image":"shop/log:0.1","resources":{}}],
        "ephemeralContainers":[{"name":"debug","image":"sh","targetContainerName":"app"}],
        "nodeName":"node-1","hostNetwork":true,"tolerations":[{"key":"name"}]},
        "status":{"phase":"Running","qosClass":"Burstable","startTime":"2026-01-01T00:00:05Z","podIP":"10.0.0.1",
        "conditions":[{"type":"Ready","status":"True"}],
        "initContainerStatuses":[{"name":"setup","state":{"terminated":{"exitCode":0,"startedAt":"2026-01-01T00:00:06Z","containerID":"containerd://zz"}},"restartCount":0,"ready":true,
        "containerID":"containerd://1111111111111111111111111111111111111111111111111111111111111111"},
        {"name":"proxy","state":{"running":{"startedAt":"2026-01-01T00:00:07Z"}},"restartCount":1,"ready":true,"containerID":"containerd://2222222222222222222222222222222222222222222222222222222222222222"}],
        "containerStatuses":[{"name":"log","state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"startedAt":"2026-01-01T00:10:00Z"}},"restartCount":7,"ready":false,"containerID":""},
        {"name":"app","state":{"running":{"startedAt":"2026-01-01T00:00:08.5Z"}},"lastState":{},"restartCount":3,"ready":true,"image":"x","containerID":"docker://3333333333333333333333333333333333333333333333333333333333333333"}],
        "ephemeralContainerStatuses":[{"name":"debug","state":{"running":null},"restartCount":0,"ready":false,"containerID":"cri-o://odd"}]}}
        """#

    /// Where the recordings of Heapster are, if they are there.
    static let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("../shared/golden/heapster").standardizedFileURL
}

extension [UInt8] {
    /// The first offset of a text.
    func offset(of text: String) -> Int? {
        let wanted = Array(text.utf8)
        return indices.first { self[$0...].starts(with: wanted) }
    }
}
