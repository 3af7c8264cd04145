import Testing

/// The real programs against a real kube-apiserver. Skipped where it was not built
/// (`make test-kubernetes` builds it, once per machine).
@Suite(
    .serialized, .enabled(if: KubernetesCluster.isAvailable, "kube-apiserver is not built here"),
    KubernetesCluster.Running())
struct KubernetesTests {}
