import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// The model against a slow and obvious one, over random histories.
@Suite struct ModelPropertyTests {
    private static let resolution: Int64 = 10_000

    /// `MODEL_SEEDS` runs so many times as many histories.
    private static func seeds(_ count: Int) -> ClosedRange<UInt64> {
        let times = ProcessInfo.processInfo.environment["MODEL_SEEDS"].flatMap { Int($0) } ?? 1
        return 1...UInt64(count * max(1, times))
    }

    /// One run: the model, the reference, and the nodes' connections.
    private struct Course {
        var cluster: Cluster { receivers.cluster }
        var reference: ReferenceModel { receivers.reference }
        private let receivers: Receivers
        private var peers: [Peer] = []

        /// Brings frames to both.
        private struct Receivers {
            let cluster: Cluster
            let reference: ReferenceModel

            /// What waits arrives in order; or, where a chain begins in it, the present before the past.
            func deliver(_ peer: inout Peer, _ random: inout SeededRandom) throws {
                guard let last = peer.waiting.last,
                    peer.waiting.allSatisfy({ $0.run == last.run }),
                    let begin = peer.waiting.lastIndex(where: \.begins), begin > 0,
                    Bool.random(using: &random)
                else { return try deliverAll(&peer) }
                let present = Array(peer.waiting[begin...])
                peer.waiting.removeSubrange(begin...)
                for item in present { try deliver(item, &peer) }
            }

            func deliverAll(_ peer: inout Peer) throws {
                for item in peer.waiting { try deliver(item, &peer) }
                peer.waiting = []
            }

            func deliver(_ item: RandomNode.Delivery, _ peer: inout Peer) throws {
                if peer.run != item.run {
                    let entered = try #require(cluster.enter(item.hello, now: 0))
                    _ = entered.0.begin(item.hello)
                    peer.model = entered.0
                    peer.run = item.run
                    peer.selected = nil
                }
                let model = try #require(peer.model)
                let key = "\(item.run)/\(item.chain)"
                if item.begins {
                    peer.chains[key] = peer.chainCount
                    peer.chainCount += 1
                } else if peer.selected != item.chain {
                    try model.select(item.chain, begins: false)
                }
                peer.selected = item.chain
                try model.receive(item.records)
                reference.take(item.frame(try #require(peer.chains[key])))
            }
        }

        private struct Peer {
            let random: RandomNode
            var model: NodeModel?
            var run: UInt8 = 0
            var waiting: [RandomNode.Delivery] = []
            /// Steps until the network works again.
            var outage = 0
            /// Numbers of the chains in the order of their beginnings.
            var chains: [String: Int] = [:]
            var chainCount = 0
            var selected: ChainID?
            let joins: Int
        }

        init(
            seed: UInt64, window: Int64, stepLength: Int64, clockMayStep: Bool
        ) throws {
            var configuration = ModelConfiguration()
            configuration.resolution = ModelPropertyTests.resolution
            configuration.window = window
            let names = RandomPodNames(uids: [])
            receivers = Receivers(
                cluster: Cluster(configuration: configuration) { names.pod(uid: $0)?.namespace },
                reference: ReferenceModel(resolution: configuration.resolution, names: names))
            for index in 0..<3 {
                peers.append(
                    Peer(
                        random: try RandomNode(
                            "n\(index)", seed: seed &* 31 &+ UInt64(index), start: 10_000_000,
                            stepLength: stepLength, clockMayStep: clockMayStep),
                        joins: index * 7))
            }
        }

        /// Runs so many steps, with outages, and lets everything arrive at last.
        mutating func run(steps: Int, seed: UInt64) throws {
            let receivers = receivers
            var random = SeededRandom(seed: seed)
            for step in 0..<steps {
                for index in peers.indices where step >= peers[index].joins {
                    peers[index].waiting.append(try peers[index].random.step())
                    if peers[index].outage > 0 {
                        peers[index].outage -= 1
                    } else if Int.random(in: 0..<15, using: &random) == 0 {
                        peers[index].outage = Int.random(in: 1...6, using: &random)
                    }
                    guard peers[index].outage == 0 else { continue }
                    try receivers.deliver(&peers[index], &random)
                }
            }
            for index in peers.indices { try receivers.deliverAll(&peers[index]) }
        }
    }

    /// Sums of rates are those of the reference while clocks run on: a cycle that a clock shows twice
    /// counts as it came first, and its rates are over what came before it.
    @Test(arguments: seeds(8))
    func everySeriesAndRollUpIsThatOfTheReference(seed: UInt64) throws {
        let clockMayStep = seed % 4 == 0
        var course = try Course(
            seed: seed, window: 86_400_000, stepLength: seed % 3 == 0 ? 5_000 : 10_000,
            clockMayStep: clockMayStep)
        try course.run(steps: 60, seed: seed)
        let names = RandomPodNames(course.reference)
        let reader = ModelReader(cluster: course.cluster, names: names)
        var points = 0
        for entity in SeriesExpectation.entities(course.reference, names) {
            for metric in SeriesExpectation.asked {
                let isRate = Rates.counter(of: metric) != nil
                if clockMayStep, isRate, SeriesExpectation.isSum(entity) { continue }
                let expected = course.reference.series(metric, of: entity)
                let actual = try reader.series(metric, of: entity)
                points += actual.count
                SeriesExpectation.expect(actual, expected, metric, entity, "seed \(seed)")
            }
        }
        #expect(points > 1_000, "seed \(seed)")
    }

    @Test(arguments: seeds(2))
    func theWindowKeepsWhatIsInItAndForgetsTheRest(seed: UInt64) throws {
        let window: Int64 = 200_000
        var course = try Course(
            seed: seed, window: window, stepLength: 10_000, clockMayStep: false)
        try course.run(steps: 100, seed: seed)
        let names = RandomPodNames(course.reference)
        let reader = ModelReader(cluster: course.cluster, names: names)
        for entity in SeriesExpectation.entities(course.reference, names) {
            for metric in SeriesExpectation.asked {
                let all = course.reference.series(metric, of: entity)
                let actual = try reader.series(metric, of: entity)
                // The first reading in the window has none before it to make a rate with.
                let first = 10_000_000 + 100 * Self.resolution - window + 2 * Self.resolution
                SeriesExpectation.expect(
                    actual.filter { $0.cycle >= first }, all.filter { $0.key >= first }, metric,
                    entity, "seed \(seed)")
            }
        }
        for node in course.cluster.nodes {
            let steps = node.read { state in state.chains.compactMap(\.firstStep) }
            #expect(steps.allSatisfy { $0 >= 10_000_000 + 100 * 10_000 - window - 200_000 })
        }
    }

    /// What is asked for newest cycles only is what the whole series ends with.
    @Test(arguments: seeds(2))
    func theNewestCycleAloneIsTheEndOfTheSeries(seed: UInt64) throws {
        var course = try Course(
            seed: seed, window: 86_400_000, stepLength: 10_000, clockMayStep: false)
        try course.run(steps: 40, seed: seed)
        let names = RandomPodNames(course.reference)
        let reader = ModelReader(cluster: course.cluster, names: names)
        let newest = try #require(course.cluster.newestStep)
        for entity in SeriesExpectation.entities(course.reference, names) {
            for metric in SeriesExpectation.asked {
                let whole = try reader.series(metric, of: entity).filter { $0.cycle >= newest }
                let latest = try reader.series(metric, of: entity, start: newest)
                #expect(latest.map(\.cycle) == whole.map(\.cycle), "\(entity) \(metric) \(seed)")
                // A rate at the first cycle after an outage is over the outage until the frames of
                // the outage come.
                if Rates.counter(of: metric) == nil { #expect(latest == whole) }
            }
        }
    }
}
