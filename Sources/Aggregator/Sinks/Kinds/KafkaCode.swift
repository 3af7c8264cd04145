/// An error code of Kafka's protocol (<https://kafka.apache.org/protocol.html#protocol_error_codes>): those that a producer
/// treats apart or that a person can do something about.
struct KafkaCode: Equatable, CustomStringConvertible {
    let number: Int16

    init(_ number: Int16) { self.number = number }

    static let none = KafkaCode(0)
    static let messageTooLarge = KafkaCode(10)
    static let recordListTooLarge = KafkaCode(18)
    static let outOfOrderSequenceNumber = KafkaCode(45)
    static let duplicateSequenceNumber = KafkaCode(46)
    static let invalidProducerEpoch = KafkaCode(47)
    static let unknownProducerID = KafkaCode(59)
    static let invalidRecord = KafkaCode(87)
    static let producerFenced = KafkaCode(90)

    var description: String {
        if let words = Self.words[number] { return "error \(number), \(words)" }
        return "error \(number)"
    }

    private static let words: [Int16: String] = [
        2: "the message was damaged on its way", 3: "the topic or partition does not exist",
        5: "the partition has no leader now", 6: "another broker leads the partition",
        7: "the replicas did not answer in time", 10: "the message is too large",
        14: "the coordinator is loading", 17: "the topic's name is not valid",
        18: "the batch is too large", 19: "too few replicas are in sync",
        20: "written to too few replicas", 29: "the user may not write to the topic",
        31: "the user may not use the cluster", 33: "the SASL mechanism is not enabled",
        34: "not the moment for SASL", 35: "the broker knows no such version",
        44: "a policy of the broker forbids it", 45: "sequence numbers are missing",
        46: "it is there already", 47: "the producer's epoch is old",
        56: "the broker's disk failed", 58: "user or password are wrong",
        59: "the producer is not known any more", 76: "the compression is not supported",
        87: "the broker calls a record invalid", 89: "the broker is throttling",
        90: "another producer has this one's identity",
    ]
}
