/// The version of both programs.
public enum HeapwireVersion {
    public static let current = "0.1.0"
}
