import Wire

extension SinkDefinition {
    /// cAdvisor's storage driver of that name.
    static let bigQuery = SinkDefinition(
        "bigquery", "rows in a BigQuery table",
        [
            SinkOption("dataset", "the dataset; default cadvisor"),
            SinkOption("table", "the table; default stats"),
        ] + GoogleCredentials.options
    ) { (uri, options) throws(SinkConfigurationError) in
        let dataset = URLText.encode(options.string("dataset", default: "cadvisor"))
        let table = URLText.encode(options.string("table", default: "stats"))
        var backend = try GoogleBackend(
            options, kind: uri.kind, scope: "https://www.googleapis.com/auth/bigquery.insertdata",
            server: "bigquery.googleapis.com"
        ) { "/bigquery/v2/projects/\($0)/datasets/\(dataset)/tables/\(table)/insertAll" }
        let encoder = BigQueryEncoder(
            clusterName: options.string("cluster_name", default: "default"))
        backend.verdict = { [envelope = encoder.envelope] response, request in
            guard response.status == 200 else { return HTTPVerdict.byStatus(response) }
            guard let verdicts = ItemVerdicts(bigQuery: response.body) else {
                return .failed(reason: "the answer to insertAll is not JSON as documented")
            }
            // With skipInvalidRows the others were taken.
            return verdicts.outcome(of: request, in: envelope)
        }
        return SinkPlan(
            encoder: encoder, order: .freshestFirst, overwrites: false
        ) { [backend] in HTTPDelivery(backend, [backend.endpoint], environment: $0) }
    }
}
