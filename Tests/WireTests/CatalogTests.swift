import Testing
import Wire

@Suite struct CatalogTests {
    @Test func everyNumberHasExactlyOneRow() {
        #expect(Catalog.metrics.count == MetricID.allCases.count)
        #expect(Set(Catalog.metrics.map(\.id)).count == Catalog.metrics.count)
        for id in MetricID.allCases { #expect(Catalog.metric(id).id == id) }
    }

    @Test func namesAreUniqueAndFindTheirMetric() {
        #expect(Set(Catalog.metrics.map(\.name)).count == Catalog.metrics.count)
        for metric in Catalog.metrics { #expect(Catalog.metric(named: metric.name) == metric) }
        #expect(Catalog.metric(named: "cpu/unknown") == nil)
    }
}
