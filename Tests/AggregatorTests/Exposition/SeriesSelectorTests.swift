import Foundation
import Testing

@testable import Aggregator

@Suite struct SeriesSelectorTests {
    private func described(_ text: String) throws -> String {
        try SeriesSelector(text).matchers.map { matcher in
            switch matcher.condition {
            case .equal(let value): "\(matcher.label)=\(value)"
            case .notEqual(let value): "\(matcher.label)!=\(value)"
            case .matching: "\(matcher.label)=~"
            case .notMatching: "\(matcher.label)!~"
            }
        }.joined(separator: " ")
    }

    @Test(arguments: [
        ("up", "__name__=up"), ("  a:b_c1  ", "__name__=a:b_c1"), ("up{}", "__name__=up"),
        ("up{a=\"b\"}", "__name__=up a=b"), ("{a=\"b\",}", "a=b"),
        ("{ a != 'b' ,\n c=~`d\\.` , e!~\"f\" }", "a!=b c=~ e!~"),
        ("{__name__=~\"container_.*\",a=\"\"}", "__name__=~ a="),
        ("{a=\"x\\\"y\\\\z\\n\\x41\\u00e9\\U0001F600\\101\"}", "a=x\"y\\z\nAé😀A"),
        ("{a='it\\'s'}", "a=it's"), ("{a=`b\\n`}", "a=b\\n"),
        ("{\"a.b\", c=\"d\"}", "__name__=a.b c=d"), ("{\"a.b\"=\"c\"}", "a.b=c"),
    ])
    func selectorsAreReadAsPrometheusDoes(text: String, wanted: String) throws {
        #expect(try described(text) == wanted)
    }

    @Test(arguments: [
        "", " ", "{}", "{a=\"\"}", "{a!=\"b\"}", "{a=~\".*\"}", "{a!~\"b\"}", "1a", "a b", "a{",
        "a{b", "a{b=",
        "a{b=\"", "a{b=\"c", "a{b=\"c\"", "a{b=c}", "a{b~\"c\"}", "a{b!\"c\"}",
        "a{b=\"c\" d=\"e\"}", "a{,}",
        "a{b=\"c\",,}", "a{b=\"c\"}[5m]", "a offset 5m", "a{b=\"\\q\"}", "a{b=\"\\x4\"}",
        "a{b=\"\\xff\"}",
        "a{b=\"c\nd\"}", "a{b=~\"(\"}", "a{\"b\"}", "sum(a)", "a{1b=\"c\"}", "a{b:c=\"d\"}",
        "a{\(String(repeating: "b=\"c\",", count: 40))}",
        "a{b=\"\(String(repeating: "c", count: 5_000))\"}",
    ])
    func whatIsNoneIsRefused(text: String) {
        #expect(throws: SeriesSelector.Invalid.self) { try SeriesSelector(text) }
    }

    // MARK: Scrapes; the whole scrape, filtered slowly, is the oracle

    private typealias Condition = (label: String, operation: String, value: String)

    private static func isTaken(_ sample: ScrapedText.Sample, _ selectors: [[Condition]]) -> Bool {
        selectors.contains { conditions in
            conditions.allSatisfy { condition in
                let value =
                    condition.label == "__name__"
                    ? sample.name : sample.labels[condition.label] ?? ""
                let whole = "^(?:\(condition.value))$"
                let isMatch = value.range(of: whole, options: .regularExpression) != nil
                switch condition.operation {
                case "=": return value == condition.value
                case "!=": return value != condition.value
                case "=~": return isMatch
                default: return !isMatch
                }
            }
        }
    }

    private static let questions: [[[(String, String, String)]]] = [
        [[("__name__", "=", "container_memory_working_set_bytes")]],
        [[("__name__", "=~", "container_cpu_.*"), ("namespace", "=", "default")]],
        [[("namespace", "=~", "default|staging"), ("container", "!=", "")]],
        [[("node", "!~", "node-[ab]"), ("id", "=~", ".+")]],
        [[("__name__", "=~", ".*_total"), ("cpu", "=", "total")]],
        [[("interface", "=~", "eth.*")]], [[("device", "!=", ""), ("pod", "=", "")]],
        [[("scope", "=", "hierarchy"), ("failure_type", "!=", "pgfault")]],
        [[("kernelVersion", "!=", "")]], [[("machine_id", "=", "nobody's")]],
        [
            [("__name__", "=", "container_memory_rss"), ("pod", "=", "web-0")],
            [("__name__", "=~", "machine_.*")],
            [("__name__", "=", "container_scrape_error"), ("node", "=", "node-a")],
        ],
    ]

    private static func target(_ path: String, _ selectors: [[Condition]]) -> String {
        let parameters = selectors.map { conditions in
            let parts = conditions.map { "\($0.label)\($0.operation)\"\($0.value)\"" }
            let text = "{\(parts.joined(separator: ","))}"
            return
                "match%5B%5D=\(text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "")"
        }
        return "\(path)?\(parameters.joined(separator: "&"))"
    }

    @Test(arguments: ["/metrics/cadvisor", "/metrics/resource"])
    func aSelectionIsTheWholeFiltered(path: String) throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let whole = try ScrapedText(try golden.answer(path).body).samples
        var total = 0
        for selectors in Self.questions {
            let (response, body) = try golden.answer(Self.target(path, selectors))
            #expect(response.status.code == 200)
            let found = body.isEmpty ? [] : try ScrapedText(body).samples
            let wanted = whole.filter { Self.isTaken($0, selectors) }
            #expect(found == wanted, "\(selectors)")
            total += wanted.count
        }
        #expect(total > (path == "/metrics/cadvisor" ? 200 : 10))
    }

    @Test func federationHasAllPagesSeries() throws {
        guard let golden = try GoldenCluster(steps: 4) else { return }
        let cadvisor = try ScrapedText(try golden.answer("/metrics/cadvisor").body).samples
        let resource = try ScrapedText(try golden.answer("/metrics/resource").body).samples
        let custom = try ScrapedText(try golden.answer("/metrics/custom").body).samples
        let names = Set(cadvisor.map(\.name))
        let all = Self.target("/federate", [[("__name__", "=~", ".+")]])
        let accept = "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n"
        let plain = try ScrapedText(try golden.answer(all).body).samples
        let isWhole = plain == cadvisor + resource.filter { !names.contains($0.name) } + custom
        #expect(isWhole && !custom.isEmpty)
        #expect(plain.count > cadvisor.count + custom.count)
        let open = try ScrapedText(try golden.answer(all, accept).body, openMetrics: true)
        #expect(open.samples.count == plain.count)
        let nothing = try golden.answer("/federate?match[]=nothing", accept)
        #expect(nothing.response.status.code == 200)
        #expect(String(decoding: nothing.body, as: UTF8.self) == "# EOF\n")
    }

    @Test func whatCannotBeReadIsSaid() throws {
        guard let golden = try GoldenCluster(steps: 1) else { return }
        for (target, words) in [
            ("/federate", "give one match[] at least"),
            ("/federate?match[]=", "1:1: a metric's name or an opening brace is missing"),
            ("/metrics/cadvisor?match[]=%7Ba%3D~%22(%22%7D", "a group that does not end"),
            (
                "/metrics/resource?" + String(repeating: "match[]=up&", count: 65),
                "more than 64 of them"
            ),
        ] {
            let (response, body) = try golden.answer(target)
            let text = String(decoding: body, as: UTF8.self)
            #expect(response.status.code == 400 && text.contains(words), "\(target): \(text)")
        }
    }
}
