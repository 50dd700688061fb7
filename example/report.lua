-- For wrk -s: what example/run reads, one "name value" a line, times in milliseconds.
function done(summary, latency, requests)
    local function say(name, value) print(string.format("%s %.3f", name, value)) end
    say("seconds", summary.duration / 1e6)
    say("requests", summary.requests)
    say("refused", summary.errors.status)
    for _, kind in ipairs({"connect", "read", "write", "timeout"}) do
        say("socket_" .. kind, summary.errors[kind])
    end
    for _, p in ipairs({50, 75, 90, 99, 99.9}) do
        say("p" .. p, latency:percentile(p) / 1e3)
    end
    say("max", latency.max / 1e3)
end
