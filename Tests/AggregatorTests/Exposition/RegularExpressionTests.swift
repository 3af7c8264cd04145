import Foundation
import TestSupport
import Testing

@testable import Aggregator

@Suite struct RegularExpressionTests {
    private func matches(_ pattern: String, _ text: String) throws -> Bool {
        var steps = 0
        return try RegularExpression(pattern).matches(text, steps: &steps)
    }

    /// As Go's regexp says of `^(?s:PATTERN)$`, which is Prometheus's.
    @Test(arguments: [
        ("", ["", "-a"]), ("web", ["web", "-webs", "-aweb", "-we"]),
        ("web|db|", ["web", "db", "", "-webdb"]), ("a.c", ["abc", "a\nc", "aéc", "-ac"]),
        ("a.*", ["a", "a/b", "-ba"]), (".+", ["x", "-"]), ("(?:ab)+", ["ab", "abab", "-aba"]),
        ("x{2}", ["xx", "-x", "-xxx"]), ("x{2,}", ["xx", "xxxx", "-x"]),
        ("x{1,3}", ["x", "xxx", "-y", "-xxxx"]), ("x{,3}", ["x{,3}", "-xx"]),
        ("x{0}", ["", "-x"]), ("{", ["{"]), ("a{b", ["a{b"]),
        ("[a-c]x", ["ax", "cx", "-dx"]), ("[^a-c]", ["d", "\n", "-a"]), ("[]a]", ["]", "a", "-b"]),
        ("[a-]", ["a", "-", "--b"]), ("[\\d_]+", ["12_3", "-a"]), ("[^\\D]", ["7", "-x"]),
        ("[[:alpha:][:^ascii:]]", ["b", "é", "-1"]), ("\\w+\\s\\W", ["ab !", "-ab!"]),
        ("(?i)Web", ["wEB", "-webs"]), ("(?i:W)eb", ["web", "Web", "-wEb"]),
        ("(?i)[^a]", ["b", "-A"]), ("(?i)é", ["É", "é", "-e"]), ("a(?i)b|c", ["aB", "C", "-AB"]),
        ("a\\.b", ["a.b", "-axb"]), ("\\x41\\x{42}\\103", ["ABC"]), ("\\t\\n", ["\t\n"]),
        ("^a$", ["a", "-ab"]), ("a^b", ["-ab"]), ("(?m)a$\\n^b", ["a\nb"]),
        ("\\bfoo\\b.*", ["foo bar", "foo", "-foobar"]), ("a\\Bb", ["ab"]),
        ("(?P<name>a)(?<other>b)(c)", ["abc"]), ("(a*)*", ["", "aaaa", "-b"]),
        ("(a|b)*abb", ["abb", "ababb", "-aba"]), ("(?-s)a.b", ["axb", "-a\nb"]),
        ("a*?b", ["aab"]), ("(|a)*", ["", "aa"]), ("(?U)a+", ["aa"]),
    ])
    func wholeTextsMatch(pattern: String, texts: [String]) throws {
        for text in texts {
            let isNot = text.hasPrefix("-") && text != "-"
            let wanted = isNot ? String(text.dropFirst()) : text
            #expect(try matches(pattern, wanted) == !isNot, "\(pattern) on \(wanted)")
        }
    }

    @Test(arguments: [
        "(", ")", "a)", "(a", "[", "[a", "[b-a]", "[[:nope:]]", "*", "a|*", "+a", "?", "a**",
        "a{2}{3}",
        "a{3,2}", "a{1001}", "\\", "\\p{Greek}", "\\pL", "\\1", "\\8", "\\Qa\\E", "\\C", "\\x",
        "\\x{110000}",
        "\\xZZ", "(?=a)", "(?!a)", "(?<=a)", "(?P=a)", "(?P<>a)", "(?P<a-b>c)", "(?i", "(?",
        "((a{100}){100}){100}", "((((){1000}){1000}){1000}){1000}", "(x+x+){1000}",
        String(repeating: "(", count: 65) + String(repeating: ")", count: 65),
        String(repeating: "a", count: 1_025),
    ])
    func whatIsNoExpressionIsRefused(pattern: String) {
        #expect(throws: RegularExpression.Invalid.self) { try RegularExpression(pattern) }
    }

    /// ICU, through Foundation, is the independent engine.
    @Test func randomExpressionsMatchWhatICUMatches() throws {
        var random = SeededRandom(seed: 2_026)
        func pick(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
        func expression(_ depth: Int) -> String {
            switch pick(depth > 0 ? 9 : 4) {
            case 0, 1: return ["a", "b", "c"][pick(3)]
            case 2: return [".", "[ab]", "[^a]", "\\w"][pick(4)]
            case 3: return "a"
            case 4: return expression(depth - 1) + expression(depth - 1)
            case 5: return "(?:\(expression(depth - 1))|\(expression(depth - 1)))"
            case 6: return "(?:\(expression(depth - 1)))\(["*", "+", "?"][pick(3)])"
            case 7: return "(\(expression(depth - 1))){\(pick(2)),\(2 + pick(2))}"
            default: return expression(depth - 1) + expression(depth - 1)
            }
        }
        var counts = (yes: 0, no: 0)
        for _ in 0..<600 {
            let pattern = expression(4)
            let own = try RegularExpression(pattern)
            let other = try NSRegularExpression(
                pattern: "\\A(?:\(pattern))\\z", options: .dotMatchesLineSeparators)
            for _ in 0..<12 {
                let text = String(
                    (0..<pick(7)).map { _ in ["a", "b", "c", "\n"][pick(4)].first ?? "a" })
                let range = NSRange(text.startIndex..., in: text)
                let wanted = other.firstMatch(in: text, range: range) != nil
                var steps = 0
                #expect(
                    own.matches(text, steps: &steps) == wanted,
                    "\(pattern) on \(text.debugDescription)")
                if wanted { counts.yes += 1 } else { counts.no += 1 }
            }
        }
        #expect(counts.yes > 500 && counts.no > 500, "\(counts)")
    }

    /// What takes a backtracking engine longer than the universe has existed.
    @Test(arguments: ["(a*)*b", "(a|aa)+b", "(.*)*(.*)*(.*)*b", "(a?){100}a{100}b"])
    func timeIsTextTimesExpressionAtMost(pattern: String) throws {
        var steps = 0
        let text = String(repeating: "a", count: 20_000)
        #expect(try !RegularExpression(pattern).matches(text, steps: &steps))
        #expect(steps > 0 && steps <= 20_000 * RegularExpression.instructionCountMax)
    }

    @Test func noTextTraps() {
        var random = SeededRandom(seed: 7)
        let alphabet = Array("()[]{}|*+?\\^$.-:,<>=!PimsUxpd019aZé\u{10FFFF}\n")
        var counts = (good: 0, bad: 0)
        for _ in 0..<20_000 {
            let text = String(
                (0..<Int(random.next() % 12)).map { _ in
                    alphabet[Int(random.next() % UInt64(alphabet.count))]
                })
            do {
                var steps = 0
                _ = try RegularExpression(text).matches("a1é)", steps: &steps)
                counts.good += 1
            } catch {
                counts.bad += 1
            }
        }
        #expect(counts.good > 1_000 && counts.bad > 1_000, "\(counts)")
    }
}
