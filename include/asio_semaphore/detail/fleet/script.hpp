// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The script that keeps the limits of a fleet in the server: one execution is one call of a client
// for one limit. Fleet layer: no Asio, no Redis library. Runs on Redis 6.0 and later and on Valkey,
// as EVAL or EVALSHA without flags. What it does, apart from how, stands in
// test/fleet/script_model.hpp; a test holds the two together.
//
//   KEYS   asem:{NAME}:m  hash: schema made rolls limit seq held; nl nq nc: how many members the
//                         other keys must have; last: clock of the last call; quar: until when
//                         nothing new is granted; maxl: longest lease; head: the client that
//                         watches the expiries; kept: since when the keys have their idle time;
//                         e:CLIENT: the client's newest connection
//          asem:{NAME}:l  zset: request -> when the lease ends, ms
//          asem:{NAME}:f  zset: request -> fencing number, the same members
//          asem:{NAME}:q  zset: request -> place
//          asem:{NAME}:c  zset: client -> until when it counts as alive, ms; each has an e:CLIENT
//   ARGV   schema client connection presence lease limit flags seen clock, then the commands:
//          A|T|R|W SERIAL.N.LEASE   N SERIAL.N.LEASE FENCE VOID_AFTER   L LIMIT   I
//          flags: s strict, i immediate, f first; clock: ms, or 0 for the server's own
//   reply  status now made rolls limit seq held waiting next_expiry is_head_mine quarantine
//          has_more, [verdict and two numbers for each command], [serial, fence and expiry of each
//          grant], [serials]
//
// Rules on which all of it rests:
// - Nothing is written before everything that can refuse the call has been asked: the types of the
//   keys, schema, connection, limit, form of the commands, PUBLISH, memory. After the first write
//   the server stops no script.
// - The first write decides about memory. A server that is full refuses it where it may need some,
//   and everything after it passes: a call that wants something new begins with HSET, and one that
//   only gives back, renews or asks with HDEL, which is never refused. So what is held can always
//   be given back.
// - The work of a call is bounded by its commands and by the numbers at the script's beginning;
//   has_more asks for another call. Only the repair of lost data, a clock that goes back by more
//   than a lease, and a limit that is set look at everything.

namespace asio_semaphore::detail::fleet {

inline constexpr char script_text[] = R"lua(
local LEASES_SWEPT, CLIENTS_DROPPED, PLACES_SERVED, PLACES_PASSED_OVER = 256, 64, 256, 1024
local DAY = 86400000

local OK, STALE, CONFLICT, INCOMPATIBLE = 0, 1, 2, 3
local GRANTED, QUEUED, REFUSED, EXCEEDS, UNKNOWN, RELEASED = 1, 2, 3, 4, 5, 6
local WITHDRAWN, RENEWED, READMITTED, GONE, DONE = 7, 8, 9, 10, 11

local M, L, F, Q, C = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local me, connection = ARGV[2], tonumber(ARGV[3])
local presence, lease = tonumber(ARGV[4]), tonumber(ARGV[5])
local flags, seen, clock = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local call, try, max, min = redis.call, redis.pcall, math.max, math.min

-- Plain digits up to 2^53, where tostring would round.
local function text(number) return string.format('%.0f', number) end

local function parts(id)
    local client, serial, n, length = string.match(id, '^([^.]+)%.(%d+)%.(%d+)%.(%d+)$')
    return client, tonumber(serial), tonumber(n), tonumber(length)
end

local function score(key, id) return tonumber(call('ZSCORE', key, id) or nil) end

-- ---- Whether the call is executed at all. Reads only; a key of another type ends it here.

local verbs = {A = true, T = true, R = true, N = true, W = true, L = true, I = true}
local commands, wants_memory, at = {}, false, 10
while ARGV[at] do
    local verb, word = ARGV[at], ARGV[at + 1]
    local c = {verb = verb}
    if verb == 'L' then
        c.limit = tonumber(word)
        at = at + 2
    elseif verb == 'I' then
        at = at + 1
    else
        local n, length = string.match(word or '', '^%d+%.(%d+)%.(%d+)$')
        c.id, c.n, c.length = me .. '.' .. (word or ''), tonumber(n), tonumber(length)
        at = at + 2
        if verb == 'N' then
            c.fence, c.void_after = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
            at = at + 2
        end
    end
    local is_whole = c.n or c.limit or verb == 'I'
    if not (verbs[verb] and is_whole and (c.void_after or verb ~= 'N')) then
        return redis.error_reply('ERR not a command of the fleet: ' .. verb)
    end
    wants_memory = wants_memory or verb == 'A' or verb == 'T' or verb == 'L'
    table.insert(commands, c)
end

local names = {'schema', 'made', 'rolls', 'limit', 'seq', 'held', 'nl', 'nq', 'nc', 'last', 'quar',
    'maxl', 'kept', 'head', 'e:' .. me}
local fields = call('HMGET', M, unpack(names))
local m, before = {}, {}
for i, name in ipairs(names) do
    local number = tonumber(fields[i] or nil)
    m[name], before[name] = number, number
end
local head_before = fields[14]
local leases, fences = call('ZCARD', L), call('ZCARD', F)
local places, clients = call('ZCARD', Q), call('ZCARD', C)

local now, now_us = clock, clock * 1000
if clock == 0 then
    local time = call('TIME')
    now_us = time[1] * 1000000 + time[2]
    now = math.floor(now_us / 1000)
end

local function not_executed(status)
    return {status, now, m.made or 0, m.rolls or 0, m.limit or 0, m.seq or 0, 0, 0, -1, 0, 0, 0,
        {}, {}, {}}
end

local is_new = not fields[1] and call('EXISTS', M) == 0
if not is_new then
    if fields[1] ~= ARGV[1] then
        m = {}
        return not_executed(INCOMPATIBLE)
    end
    -- Left behind in an old connection by a client that has gone on to another one.
    if (m['e:' .. me] or 0) > connection then return not_executed(STALE) end
    if string.find(flags, 's', 1, true) and m.limit ~= tonumber(ARGV[6]) then
        return not_executed(CONFLICT)
    end
end
if string.find(flags, 'f', 1, true) then
    local published = try('PUBLISH', 'asem:c:' .. me, '')
    if type(published) == 'table' and published.err then return published end
end

-- ---- The first write.

if not wants_memory then call('HDEL', M, '') end
call('HSET', M, 'e:' .. me, text(connection))

-- ---- What has happened to the clock and to the data since the last call.

local immediate = string.find(flags, 'i', 1, true)

-- Permits may be held of which the server knows no more: nothing new is granted until the longest
-- lease among them has ended.
local function data_was_lost()
    if not immediate then m.quar = max(m.quar, now + m.maxl) end
end

if is_new then
    -- Begins at the time, so that fencing numbers grow across a loss of everything.
    local made = max(now_us, seen + 1)
    m = {schema = tonumber(ARGV[1]), made = made, rolls = 0, limit = tonumber(ARGV[6]), seq = made, held = 0, quar = 0,
        maxl = lease, kept = 0, last = 0}
    local has_rest = leases + fences + places + clients > 0
    if has_rest then call('DEL', L, F, Q, C) end
    leases, places, clients = 0, 0, 0
    local is_young = false
    local info = try('INFO', 'server')
    if type(info) == 'string' then
        local uptime = string.match(info, 'uptime_in_seconds:(%d+)')
        is_young = uptime and tonumber(uptime) * 1000 < m.maxl
    end
    if seen > 0 or has_rest or is_young then data_was_lost() end
else
    -- A clock that has gone back stands still where that takes no longer than a lease; otherwise
    -- nothing that it has to reach may be further away than a lease.
    if now < m.last then
        if m.last - now <= m.maxl then
            now = m.last
        else
            local top = text(now + m.maxl)
            for _, key in ipairs({L, C}) do
                for _, id in ipairs(call('ZRANGEBYSCORE', key, '(' .. top, '+inf')) do
                    call('ZADD', key, top, id)
                end
            end
            m.quar = min(m.quar, now + m.maxl)
        end
    end
    m.maxl = max(m.maxl, lease)

    -- A key was lost, or changed by others. Whoever is in :c has an e:CLIENT, and vice versa.
    if clients ~= m.nc then
        for _, name in ipairs(call('HKEYS', M)) do
            local client = string.match(name, '^e:(.*)$')
            if client then call('ZADD', C, 'NX', text(now + m.maxl), client) end
        end
        clients = call('ZCARD', C)
        m.kept = 0
    end
    if leases ~= m.nl or fences ~= m.nl or places ~= m.nq then
        m.rolls = m.rolls + 1
        if leases ~= m.nl then data_was_lost() end
        m.held, leases, places = 0, 0, 0
        for _, id in ipairs(call('ZRANGE', L, 0, -1)) do
            local _, _, n = parts(id)
            if n then
                m.held, leases = m.held + n, leases + 1
                if not score(F, id) then -- until its holder says it
                    m.seq = m.seq + 1
                    call('ZADD', F, text(m.seq), id)
                end
            else
                call('ZREM', L, id)
            end
        end
        for _, id in ipairs(call('ZRANGE', F, 0, -1)) do
            if not score(L, id) then call('ZREM', F, id) end
        end
        for _, id in ipairs(call('ZRANGE', Q, 0, -1)) do
            if parts(id) then places = places + 1 else call('ZREM', Q, id) end
        end
        m.kept = 0
    end

    -- The caller has heard of what the server does not know: writes were lost. What other callers
    -- heard of later is below the clock's time in us.
    if seen > m.seq then
        m.seq = max(seen + 1000, now_us)
        m.rolls = m.rolls + 1
        data_was_lost()
    end
end
local limit = m.limit

-- ---- Leases and places. A key vanishes with its last member, and its idle time with it.

-- Unused keys vanish after a day; or later, where renewals are further apart.
local function begin_idle_time(key) call('PEXPIRE', key, text(max(DAY, 2 * m.maxl))) end

local function drop(id, n)
    if call('ZREM', L, id) == 0 then return false end
    call('ZREM', F, id)
    m.held, leases = m.held - n, leases - 1
    return true
end

-- Not if it is held already; then nil.
local function hold(id, n, length, fence)
    local expiry = now + length
    if call('ZADD', L, 'NX', text(expiry), id) == 0 then return nil end
    call('ZADD', F, text(fence), id)
    m.maxl = max(m.maxl, length)
    if leases == 0 then
        begin_idle_time(L)
        begin_idle_time(F)
    end
    m.held, leases = m.held + n, leases + 1
    return expiry
end

local function grant(id, n, length)
    local expiry = hold(id, n, length, m.seq + 1)
    if not expiry then return nil end
    m.seq = m.seq + 1
    return m.seq, expiry
end

-- When the lease ends, or nil. Ends what should have ended, where the sweep has not got so far.
local function held_until(id, n)
    local expiry = score(L, id)
    if expiry and expiry <= now then
        drop(id, n)
        return nil
    end
    return expiry
end

local function leave(id)
    if places == 0 then return false end
    local had = call('ZREM', Q, id)
    places = places - had
    return had == 1
end

clients = clients + call('ZADD', C, text(now + presence), me)
local ended = call('ZRANGEBYSCORE', L, '-inf', text(now), 'LIMIT', 0, LEASES_SWEPT)
for _, id in ipairs(ended) do
    local _, _, n = parts(id)
    drop(id, n)
end
local has_more = #ended == LEASES_SWEPT
for _, client in ipairs(call('ZRANGEBYSCORE', C, '-inf', text(now), 'LIMIT', 0, CLIENTS_DROPPED)) do
    clients = clients - call('ZREM', C, client)
    call('HDEL', M, 'e:' .. client)
end

-- ---- What other clients are told, and what became of the caller's requests that wait.

local told, told_in_order = {}, {}
local function tell(client, words)
    if not told[client] then
        told[client] = {}
        table.insert(told_in_order, client)
    end
    table.insert(told[client], words)
end

local results, granted, exceeded = {}, {}, {}
local pending, is_pending = {}, {} -- commands whose result is known once the queue was served
local outcome, mine_in_order = {}, {} -- of the caller's requests that waited

local function came_out(id, client, serial, verdict, fence, expiry)
    if client == me then
        outcome[id] = {verdict, fence, expiry, serial}
        table.insert(mine_in_order, id)
    elseif verdict == GRANTED then
        tell(client, 'G ' .. text(serial) .. ' ' .. text(fence) .. ' ' .. text(expiry))
    else
        tell(client, 'X ' .. text(serial))
    end
end

-- ---- Commands. Each may come again, and is answered as before.

local function result(verdict, first, second)
    local size = #results
    results[size + 1], results[size + 2], results[size + 3] = verdict, first or 0, second or 0
end

local function queued(id, is_try)
    table.insert(pending, {at = #results + 1, id = id, is_try = is_try})
    is_pending[id] = true
    result(QUEUED)
end

local function is_free(n) return places == 0 and m.held + n <= limit and now >= m.quar end

local function acquire(id, n, length, is_try)
    if is_free(n) then -- most often: no look at what is there before
        local fence, expiry = grant(id, n, length)
        if fence then return result(GRANTED, fence, expiry) end
    end
    local expiry = held_until(id, n)
    if expiry then return result(GRANTED, score(F, id), expiry) end
    if n > limit then return result(EXCEEDS) end
    if is_free(n) then return result(GRANTED, grant(id, n, length)) end -- it had expired
    if not (places > 0 and score(Q, id)) then
        m.seq = m.seq + 1
        call('ZADD', Q, text(m.seq), id)
        if places == 0 then begin_idle_time(Q) end
        places = places + 1
        outcome[id] = nil
    end
    queued(id, is_try)
end

local execute = {}

function execute.A(id, n, length) acquire(id, n, length, false) end

-- Waits until the queue has been served, and no longer.
function execute.T(id, n, length) acquire(id, n, length, true) end

function execute.R(id, n)
    if has_more then held_until(id, n) end
    result(drop(id, n) and RELEASED or leave(id) and WITHDRAWN or UNKNOWN)
end

function execute.N(id, n, length, c)
    local is_held = held_until(id, n)
    -- The permit counts as lost at its holder: it must not come back.
    if now > c.void_after then
        if is_held then drop(id, n) end
        return result(GONE)
    end
    if not is_held and m.held + n > limit then return result(GONE) end
    -- The holder knows its fencing number better than a server that has lost data.
    m.seq = max(m.seq, c.fence)
    if is_held then
        call('ZADD', L, text(now + length), id)
        call('ZADD', F, text(c.fence), id)
        return result(RENEWED, 0, now + length)
    end
    leave(id)
    result(READMITTED, 0, hold(id, n, length, c.fence))
end

function execute.W(id, n)
    local expiry = held_until(id, n)
    if expiry then return result(GRANTED, score(F, id), expiry) end
    if score(Q, id) then queued(id, false) else result(UNKNOWN) end
end

function execute.L(_, _, _, c)
    limit = c.limit
    for _, id in ipairs(call('ZRANGE', Q, 0, -1)) do
        local client, serial, n = parts(id)
        if n > limit then
            leave(id)
            came_out(id, client, serial, EXCEEDS)
        end
    end
    result(DONE)
end

-- While holders may be missing, nobody is turned away for being below the lowest number.
function execute.I()
    local lowest = now >= m.quar and call('ZRANGE', F, 0, 0, 'WITHSCORES')[2]
    result(DONE, clients, tonumber(lowest or 0))
end

for _, c in ipairs(commands) do execute[c.verb](c.id, c.n, c.length, c) end

-- ---- The queue. The first that can be reached is the head; what does not fit there holds back all
-- behind it. Who is gone loses the place; who is away keeps it, and is passed over.

local reach = {[me] = 'here'}
local function reach_of(client)
    if not reach[client] then
        local alive_until = score(C, client)
        if not alive_until or alive_until <= now then
            reach[client] = 'gone'
        else
            local listeners = try('PUBSUB', 'NUMSUB', 'asem:c:' .. client)
            reach[client] = tonumber(listeners[2]) == 0 and 'away' or 'here' -- where denied: here
        end
    end
    return reach[client]
end

local served, head = 0, ''
local function serve()
    local away = 0
    head = ''
    while away < places do
        local ids = call('ZRANGE', Q, away, away + 15)
        if #ids == 0 then return end -- never; but a script that has written cannot be stopped
        for _, id in ipairs(ids) do
            local client, serial, n, length = parts(id)
            local where = reach_of(client)
            if where == 'away' then
                away = away + 1
                if away == PLACES_PASSED_OVER then return end
            elseif where == 'here' and (now < m.quar or m.held + n > limit) then
                head = client
                return
            elseif served == PLACES_SERVED then
                has_more = true
                return
            else
                served = served + 1
                leave(id)
                if where == 'here' then
                    came_out(id, client, serial, GRANTED, grant(id, n, length))
                end
            end
        end
    end
end

serve()
local has_withdrawn = false
for _, p in ipairs(pending) do
    if p.is_try and leave(p.id) then has_withdrawn = true end
end
if has_withdrawn then serve() end -- what they held back

for _, p in ipairs(pending) do
    local o = outcome[p.id]
    if o then
        results[p.at], results[p.at + 1], results[p.at + 2] = o[1], o[2] or 0, o[3] or 0
    elseif p.is_try then
        results[p.at] = REFUSED
    end
end
for _, id in ipairs(mine_in_order) do
    if not is_pending[id] then
        local o = outcome[id]
        if o[1] == GRANTED then
            for _, number in ipairs({o[4], o[2], o[3]}) do table.insert(granted, number) end
        else
            table.insert(exceeded, o[4])
        end
    end
end

-- ---- The end.

local next_expiry = call('ZRANGE', L, 0, 0, 'WITHSCORES')[2]
next_expiry = next_expiry and max(0, next_expiry - now) or -1
if head ~= head_before and head ~= '' and head ~= me then tell(head, 'H ' .. text(next_expiry)) end

m.seq = m.seq + 1
local is_idle_time_due = now - m.kept >= DAY / 2 or now < m.kept or m.maxl ~= before.maxl
if is_idle_time_due then m.kept = now end
m.limit, m.nl, m.nq, m.nc, m.last = limit, leases, places, clients, now
local changed = {}
for i = 1, 13 do
    local name = names[i]
    if m[name] ~= before[name] then
        table.insert(changed, name)
        table.insert(changed, text(m[name]))
    end
end
if head ~= head_before then
    table.insert(changed, 'head')
    table.insert(changed, head)
end
call('HSET', M, unpack(changed))
if is_idle_time_due then
    for _, key in ipairs(KEYS) do begin_idle_time(key) end
end

local name = string.match(M, '{(.*)}')
for _, client in ipairs(told_in_order) do
    try('PUBLISH', 'asem:c:' .. client,
        #name .. ' ' .. name .. ' ' .. table.concat(told[client], ' '))
end
return {OK, now, m.made, m.rolls, limit, m.seq, m.held, places, next_expiry,
    head == me and 1 or 0, max(0, m.quar - now), has_more and 1 or 0, results, granted, exceeded}
)lua";

} // namespace asio_semaphore::detail::fleet
