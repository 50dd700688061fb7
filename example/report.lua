-- SPDX-FileCopyrightText: The asio_semaphore authors
-- SPDX-License-Identifier: BSL-1.0

-- A script for wrk -s. Prints the report that example/run reads: one "name value" a line, times in milliseconds.
--
-- Counts served and refused requests separately, after a warm-up of one second. Each request carries the time when it was sent, and the
-- server returns that time. A refused client retries after a pause. The first argument after -- is the name of the client.

local ffi = require("ffi")
ffi.cdef [[
    struct report_time { long seconds, nanoseconds; };
    int clock_gettime(int clock, struct report_time* t);
]]
local clock = ffi.new("struct report_time")
local function now() -- in microseconds
    ffi.C.clock_gettime(1, clock)
    return tonumber(clock.seconds) * 1e6 + tonumber(clock.nanoseconds) / 1e3
end

local warm_up, pause = 1e6, 100
local step = math.log(1.005) -- buckets of the histograms: half a percent wide

local threads = {}
function setup(thread) table.insert(threads, thread) end

function init(arguments)
    client = arguments[1]
    from, last = now() + warm_up, 0
    served, refused, pauses = {}, {}, 0
end

function request()
    return wrk.format(nil, nil, { ["Host"] = "localhost", ["X-Client"] = client, ["X-Request-Id"] = string.format("%.0f", now()) })
end

function response(status, headers)
    if status ~= 200 then pauses = pauses + 1 end
    local time = now()
    if time < from then return end
    last = time
    local times = status == 200 and served or refused
    local bucket = math.floor(math.log(math.max(time - headers["X-Request-Id"], 1)) / step)
    times[bucket] = (times[bucket] or 0) + 1
end

-- There is one pause for each refusal; it does not matter which connection pauses.
function delay()
    if pauses == 0 then return 0 end
    pauses = pauses - 1
    return pause / 2 + math.random(pause)
end

local function collected(name)
    local all, count = {}, 0
    for _, thread in ipairs(threads) do
        for bucket, n in pairs(thread:get(name)) do
            all[bucket] = (all[bucket] or 0) + n
            count = count + n
        end
    end
    return all, count
end

function done(summary, latency, requests)
    local function say(name, value) print(string.format("%s %.3f", name, value)) end
    local seconds = 0
    for _, thread in ipairs(threads) do
        seconds = math.max(seconds, (thread:get("last") - thread:get("from")) / 1e6)
    end
    say("seconds", seconds)
    for _, kind in ipairs({ "connect", "read", "write", "timeout" }) do
        say("socket_" .. kind, summary.errors[kind])
    end
    for _, name in ipairs({ "served", "refused" }) do
        local times, count = collected(name)
        say(name, count)
        local buckets = {}
        for bucket in pairs(times) do table.insert(buckets, bucket) end
        table.sort(buckets)
        local parts, seen = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "max", 1 } }, 0
        local next = 1
        for _, bucket in ipairs(buckets) do
            seen = seen + times[bucket]
            while next <= #parts and seen >= parts[next][2] * count do
                say(name .. "_" .. parts[next][1], math.exp((bucket + 1) * step) / 1e3)
                next = next + 1
            end
        end
    end
end
