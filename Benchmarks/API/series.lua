-- wrk asks for the paths of a file in turn (PATHS in the environment) and prints latencies.
local paths = {}
for line in io.lines(os.getenv("PATHS")) do paths[#paths + 1] = line end
local turn = 0

request = function()
   turn = turn % #paths + 1
   return wrk.format("GET", paths[turn])
end

done = function(summary, latency, requests)
   local errors = summary.errors
   print(string.format(
      '{"requests": %d, "seconds": %.3f, "p50_ms": %.3f, "p99_ms": %.3f, "failed": %d}',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
      latency:percentile(99) / 1e3,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
