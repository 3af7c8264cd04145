@main
struct NodeAgent {
    static func main() {}
}
