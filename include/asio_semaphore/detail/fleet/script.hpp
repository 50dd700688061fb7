// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The script that keeps the limits of a fleet in the server. One execution is one call of a client
// for one limit. Fleet layer: no Asio, no Redis library. Runs on Redis 6.0 and later and on Valkey,
// by EVAL or EVALSHA without flags. test/fleet/script_model.hpp specifies what the script does; a
// test compares the two.
//
//   KEYS   asem:{NAME}:m  hash: schema, made, rolls, limit, seq, held
//                         nl, nq, nc: the numbers of members that :l and :f, :q, and :c must have
//                         last: the time of the last call
//                         quar: until then, nothing new is granted
//                         maxl: the longest lease
//                         head: the client that watches when leases end
//                         kept: when the keys last got their idle time
//                         e:CLIENT: the number of the client's newest connection
//          asem:{NAME}:l  zset: request -> when its lease ends, ms
//          asem:{NAME}:f  zset: request -> fencing number; the same members as :l
//          asem:{NAME}:q  zset: request -> place
//          asem:{NAME}:c  zset: client -> until when it counts as alive, ms; each has an e:CLIENT
//   ARGV   schema client connection presence lease limit flags seen clock, then the commands, in
//          groups of like commands:
//          A|T|R|W .N.LEASE SERIAL...   N .N.LEASE VOID_AFTER (SERIAL FENCE)...   L LIMIT   I
//          SERIAL+MORE stands for the serial and the MORE serials after it; their fences, too, grow
//          by 1. Flags: s strict, i immediate, f first. Clock: ms, or 0 for the server's.
//   reply  status now made rolls limit seq held waiting next_expiry is_head_mine quarantine
//          has_more, then three lists: the results (count, verdict and two numbers for each run of
//          equal results; the first number of a grant grows by 1 within the run), the grants
//          (serial, fence, expiry), the serials of requests that exceed the limit
//
// Rules on which the script rests:
// - It writes nothing before it has checked everything that can refuse the call: the types of the
//   keys, schema, connection, limit, form of the commands, PUBLISH, memory. After its first write
//   the server stops it only at a command that the user is denied. So the first call of a
//   connection tries all such commands where a stop does no harm.
// - The first write decides about memory. A full server may refuse it, but nothing after it. A call
//   that wants something new begins with HSET, which a full server refuses. A call that only gives
//   back, renews or asks begins with HDEL, which is never refused. So a lease can always be given
//   back.
// - Changes to :l, :f and :q are collected, and written by one command for each key and kind of
//   change: before one of these keys is read as a whole, and at the end. No other client sees the
//   state in between, because the server executes nothing else meanwhile.
// - The commands of a call and the bounds at the script's beginning limit its work; has_more asks
//   for another call. Only the repair of lost data, a clock that has gone back by more than a
//   lease, and a new limit look at all members.

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
local format, match = string.format, string.match

-- Writes all digits up to 2^53; tostring would round. '%d' is faster, but needs 64-bit integers.
local digits = string.format('%d', 2^53) == '9007199254740992' and '%d' or '%.0f'
local function text(number) return format(digits, number) end

local function parts(id)
    local client, serial, n, length = match(id, '^([^.]+)%.(%d+)%.(%d+)%.(%d+)$')
    return client, tonumber(serial), tonumber(n), tonumber(length)
end

local function score(key, id) return tonumber(call('ZSCORE', key, id) or nil) end

-- In portions, because Lua limits the number of arguments.
local function call_for_all(command, key, words)
    for from = 1, #words, 2000 do
        call(command, key, unpack(words, from, min(from + 1999, #words)))
    end
end

-- The scores of many members, in the same order, as text; false where there is none.
local function scores(key, ids)
    local found = {}
    for from = 1, #ids, 2000 do
        local to = min(from + 1999, #ids)
        local all = try('ZMSCORE', key, unpack(ids, from, to))
        if from == 1 and to == #ids and not all.err then return all end
        for i = from, to do -- one by one if the server does not know or permit ZMSCORE
            found[i] = all[i - from + 1] or all.err and call('ZSCORE', key, ids[i])
        end
    end
    return found
end

-- ---- Checks, which only read. A key of another type ends the script here.

-- Each request has an index, which is faster than its name.
local ids, counts, lengths, requests = {}, {}, {}, 0 -- requests: their number
local index_of = {}
local function add_request(id, n, length)
    requests = requests + 1
    ids[requests], counts[requests], lengths[requests] = id, n, length
    index_of[id] = requests
    return requests
end

-- The subject of a command is a request's index, or the limit to set.
local is_verb = {A = true, T = true, R = true, W = true, N = true, L = true, I = true}
local groups, subject, fence_given = {}, {}, {}
local size, wants_memory, at = 0, false, 10
while ARGV[at] do
    local verb, common = ARGV[at], ARGV[at + 1] or ''
    local group = {verb = verb, from = size + 1}
    local is_whole = is_verb[verb]
    at = at + 1
    if verb == 'L' then
        size, at = size + 1, at + 1
        subject[size] = tonumber(common)
        is_whole = subject[size]
    elseif verb == 'I' then
        size = size + 1
    elseif is_whole then
        local n, length = match(common, '^%.(%d+)%.(%d+)$')
        n, length, at = tonumber(n), tonumber(length), at + 1
        if verb == 'N' then group.void_after, at = tonumber(ARGV[at]), at + 1 end
        is_whole = n and (verb ~= 'N' or group.void_after)
        while is_whole and ARGV[at] and not is_verb[ARGV[at]] do
            local word, fence = ARGV[at], 0
            local first, more = match(word, '^(%d+)%+?(%d*)$')
            local number = tonumber(first)
            more = more == '' and 0 or tonumber(more)
            if verb == 'N' then fence, at = tonumber(ARGV[at + 1]), at + 1 end
            is_whole = first and more < 2000 and fence
            if not is_whole then break end
            for k = 0, more do
                local serial = more == 0 and first or format(digits, number + k)
                local id = me .. '.' .. serial .. common
                size = size + 1
                subject[size] = index_of[id] or add_request(id, n, length)
                fence_given[size] = fence + k
            end
            at = at + 1
        end
    end
    if not is_whole or size < group.from then
        return redis.error_reply('ERR not a command of the fleet: ' .. verb)
    end
    wants_memory = wants_memory or verb == 'A' or verb == 'T' or verb == 'L'
    group.to = size
    groups[#groups + 1] = group
end

local names = {'schema', 'made', 'rolls', 'limit', 'seq', 'held', 'nl', 'nq', 'nc', 'last', 'quar',
    'maxl', 'kept', 'head', 'e:' .. me}
local fields = call('HMGET', M, unpack(names))
local has_schema, is_schema_known = fields[1], fields[1] == ARGV[1]
local head_before = fields[14]
local m = {schema = 0, made = 0, rolls = 0, limit = 0, seq = 0, held = 0, nl = 0, nq = 0, nc = 0,
    last = 0, quar = 0, maxl = 0, kept = 0} -- preallocated
for i = 1, #names do
    local number = tonumber(fields[i] or nil)
    m[names[i]], fields[i] = number, number or false
end
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

-- New, even if a call that was stopped at a denied command has left its e:CLIENT behind.
local remains = not has_schema and call('EXISTS', M) == 1 and call('HKEYS', M) or {}
local is_new = not has_schema
for _, name in ipairs(remains) do is_new = is_new and string.sub(name, 1, 2) == 'e:' end
if not is_new then
    if not is_schema_known then
        m = {}
        return not_executed(INCOMPATIBLE)
    end
    -- The client has gone on to another connection, and left this call in the old one.
    if (m['e:' .. me] or 0) > connection then return not_executed(STALE) end
    if string.find(flags, 's', 1, true) and m.limit ~= tonumber(ARGV[6]) then
        return not_executed(CONFLICT)
    end
end
-- A denied command would stop a later call half-way, so the first call tries them all.
local is_first = string.find(flags, 'f', 1, true)
if is_first then
    call('ZRANGE', L, 0, 0)
    call('ZRANGEBYSCORE', L, 1, 0)
    call('ZSCORE', C, me)
    local published = try('PUBLISH', 'asem:c:' .. me, '')
    if type(published) == 'table' and published.err then return published end
end

-- ---- The first write.

if not wants_memory then call('HDEL', M, '') end
if wants_memory or m['e:' .. me] ~= connection then
    call('HSET', M, 'e:' .. me, text(connection))
end
if is_first then
    call('HDEL', M, '')
    call('ZREM', C, '')
    call('ZADD', C, 'XX', 0, '')
    local idle_time = text(max(DAY, 2 * max(m.maxl or 0, lease)))
    for _, key in ipairs(KEYS) do call('PEXPIRE', key, idle_time) end
end
for _, name in ipairs(remains) do
    if is_new and name ~= 'e:' .. me then call('HDEL', M, name) end
end

-- ---- Changes to the data and the clock since the last call.

local immediate = string.find(flags, 'i', 1, true)

-- Clients may hold permits that the server no longer knows. So it grants nothing new until the
-- longest lease among them has ended.
local function data_was_lost()
    if not immediate then m.quar = max(m.quar, now + m.maxl) end
end

if is_new then
    -- Begins at the time, so that fencing numbers also grow across a loss of all data.
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
    -- A clock that has gone back stands still if it catches up within the longest lease. Otherwise
    -- no end of a lease, a presence or a quarantine may be further away than that lease.
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

    -- Repairs keys that were lost, or changed by others. Each client in :c has an e:CLIENT, and
    -- vice versa.
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
                if not score(F, id) then -- until its holder sends the right one
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

    -- The caller has seen a higher seq than the server knows, so writes were lost. Other callers
    -- may have seen still higher ones, but those are below the time in us.
    if seen > m.seq then
        m.seq = max(seen + 1000, now_us)
        m.rolls = m.rolls + 1
        data_was_lost()
    end
end
local limit, held, seq = m.limit, m.held, m.seq

-- ---- Leases and places. A key, and its idle time with it, vanishes with its last member.

-- Unused keys vanish after a day, or after twice the longest lease if that is later.
local function begin_idle_time(key) call('PEXPIRE', key, text(max(DAY, 2 * m.maxl))) end

-- By index of the request: the end of its lease, its fencing number, its place; false or nil where
-- there is none. The keys differ for changed requests until these are written. Values that were
-- read are text.
local ends, fences_of, placed = {}, {}, {}
local changed_leases, changed_places = {}, {} -- indices of changed requests
local lease_changes, place_changes = 0, 0     -- their numbers
local leases_stored, places_stored            -- the numbers of members in the keys

local function set_lease(i, expiry, fence)
    ends[i], fences_of[i] = expiry, fence
    lease_changes = lease_changes + 1
    changed_leases[lease_changes] = i
end

local function set_place(i, place)
    placed[i] = place
    place_changes = place_changes + 1
    changed_places[place_changes] = i
end

-- The server keeps a small sorted set as a list, and searches it from the front for each member. If
-- a set gets many members at once, a member too long for a list turns it into a tree for good.
local MANY, LONG = 16, string.rep('-', 100)

local function make_tree(added)
    added[#added + 1], added[#added + 2] = added[1], added[2]
    added[1], added[2] = 0, LONG
end

-- Adds before it removes, so that no key vanishes in between.
local function write_leases()
    if lease_changes == 0 then return end
    local expiries, numbers, over, added, removed = {}, {}, {}, 0, 0
    local last, last_text
    for k = 1, lease_changes do
        local i = changed_leases[k]
        local id, expiry = ids[i], ends[i]
        if expiry then
            if expiry ~= last then last, last_text = expiry, text(expiry) end
            expiries[added + 1], expiries[added + 2] = last_text, id
            numbers[added + 1], numbers[added + 2] = format(digits, fences_of[i]), id
            added = added + 2
        else
            removed = removed + 1
            over[removed] = id
        end
    end
    if added > 2 * MANY then
        make_tree(expiries)
        make_tree(numbers)
        over[removed + 1] = LONG
    end
    call_for_all('ZADD', L, expiries)
    call_for_all('ZADD', F, numbers)
    if leases_stored == 0 and added > 0 then
        begin_idle_time(L)
        begin_idle_time(F)
    end
    call_for_all('ZREM', L, over)
    call_for_all('ZREM', F, over)
    changed_leases, lease_changes, leases_stored = {}, 0, leases
end

local function write_places()
    if place_changes == 0 then return end
    local arrived, left, added, removed = {}, {}, 0, 0
    for k = 1, place_changes do
        local i = changed_places[k]
        if placed[i] then
            arrived[added + 1], arrived[added + 2] = text(placed[i]), ids[i]
            added = added + 2
        else
            removed = removed + 1
            left[removed] = ids[i]
        end
    end
    if added > 2 * MANY then
        make_tree(arrived)
        left[removed + 1] = LONG
    end
    call_for_all('ZADD', Q, arrived)
    if places_stored == 0 and added > 0 then begin_idle_time(Q) end
    call_for_all('ZREM', Q, left)
    changed_places, place_changes, places_stored = {}, 0, places
end

local function drop(i)
    if not ends[i] then return false end
    set_lease(i, false)
    held, leases = held - counts[i], leases - 1
    return true
end

local function hold(i, fence)
    local length = lengths[i]
    local expiry = now + length
    set_lease(i, expiry, fence)
    if length > m.maxl then m.maxl = length end
    held, leases = held + counts[i], leases + 1
    return expiry
end

local function fence_of(i) return fences_of[i] or score(F, ids[i]) end

local function leave(i)
    if not placed[i] then return false end
    set_place(i, false)
    places = places - 1
    return true
end

-- Returns the index of a request in the queue.
local function waiting_request(id, n, length)
    local i = index_of[id] or add_request(id, n, length)
    placed[i] = placed[i] or true
    return i
end

clients = clients + call('ZADD', C, text(now + presence), me)
local ended = call('ZRANGEBYSCORE', L, '-inf', text(now), 'LIMIT', 0, LEASES_SWEPT)
for _, id in ipairs(ended) do
    local _, _, n = parts(id)
    held, leases = held - n, leases - 1
end
call_for_all('ZREM', L, ended)
call_for_all('ZREM', F, ended)
local has_more = #ended == LEASES_SWEPT
for _, client in ipairs(call('ZRANGEBYSCORE', C, '-inf', text(now), 'LIMIT', 0, CLIENTS_DROPPED)) do
    clients = clients - call('ZREM', C, client)
    call('HDEL', M, 'e:' .. client)
end

if leases > 0 then ends = scores(L, ids) end
if places > 0 then placed = scores(Q, ids) end
leases_stored, places_stored = leases, places
for i = 1, has_more and requests or 0 do -- expired leases that the sweep has not reached
    if ends[i] and tonumber(ends[i]) <= now then drop(i) end
end

-- ---- Messages to other clients, and the outcomes of the caller's waiting requests.

local told, told_in_order = {}, {}
local function tell(client, words)
    if not told[client] then
        told[client] = {}
        table.insert(told_in_order, client)
    end
    table.insert(told[client], words)
end

local verdicts, firsts, seconds = {}, {}, {} -- the result of each command
local granted, exceeded = {}, {}
local pending, is_pending = {}, {} -- commands whose results depend on serving the queue
local outcome, mine_in_order = {}, {} -- of the caller's requests that waited

local function came_out(i, client, serial, verdict, fence, expiry)
    if client == me then
        outcome[i] = {verdict, fence, expiry, serial}
        mine_in_order[#mine_in_order + 1] = i
    elseif verdict == GRANTED then
        tell(client, 'G ' .. text(serial) .. ' ' .. text(fence) .. ' ' .. text(expiry))
    else
        tell(client, 'X ' .. text(serial))
    end
end

-- ---- Commands. Each can be repeated without harm.

local function result(c, verdict, first, second)
    verdicts[c], firsts[c], seconds[c] = verdict, first, second
end

local function queued(c, i, is_try)
    pending[#pending + 1] = {command = c, request = i, is_try = is_try}
    is_pending[i] = true
    result(c, QUEUED)
end

local function acquire(c, i, is_try)
    if ends[i] then return result(c, GRANTED, fence_of(i), tonumber(ends[i])) end
    local n = counts[i]
    if n > limit then return result(c, EXCEEDS) end
    if places == 0 and held + n <= limit and now >= m.quar then
        seq = seq + 1
        return result(c, GRANTED, seq, hold(i, seq))
    end
    if not placed[i] then
        seq = seq + 1
        set_place(i, seq)
        places = places + 1
        outcome[i] = nil
    end
    queued(c, i, is_try)
end

local execute = {}

function execute.A(c, i) acquire(c, i, false) end

-- Waits only until this call has served the queue.
function execute.T(c, i) acquire(c, i, true) end

function execute.R(c, i)
    verdicts[c] = drop(i) and RELEASED or leave(i) and WITHDRAWN or UNKNOWN
end

function execute.N(c, i, void_after)
    local is_held, fence = ends[i], fence_given[c]
    -- The holder already counts the permit as lost, so it must not come back.
    if now > void_after then
        drop(i)
        return result(c, GONE)
    end
    if not is_held and held + counts[i] > limit then return result(c, GONE) end
    -- A server that has lost data may not know the fencing number; its holder does.
    if fence > seq then seq = fence end
    if is_held then
        set_lease(i, now + lengths[i], fence)
        return result(c, RENEWED, 0, now + lengths[i])
    end
    leave(i)
    result(c, READMITTED, 0, hold(i, fence))
end

function execute.W(c, i)
    if ends[i] then return result(c, GRANTED, fence_of(i), tonumber(ends[i])) end
    if placed[i] then queued(c, i, false) else result(c, UNKNOWN) end
end

function execute.L(c, wanted)
    limit = wanted
    write_places()
    for _, id in ipairs(call('ZRANGE', Q, 0, -1)) do
        local client, serial, n, length = parts(id)
        if n > limit then
            local i = waiting_request(id, n, length)
            leave(i)
            came_out(i, client, serial, EXCEEDS)
        end
    end
    result(c, DONE)
end

-- While holders may be missing, the lowest number must not exclude any of them.
function execute.I(c)
    write_leases()
    local lowest = now >= m.quar and call('ZRANGE', F, 0, 0, 'WITHSCORES')[2]
    result(c, DONE, clients, tonumber(lowest or 0))
end

for _, group in ipairs(groups) do
    local execute_one, void_after = execute[group.verb], group.void_after
    for c = group.from, group.to do execute_one(c, subject[c], void_after) end
end

-- ---- The queue. Its head is the first request whose client can be reached. If that does not fit,
-- all requests behind it wait. A client that is gone loses its places in the queue. A client that
-- is away keeps them, and is passed over.

local reach = {[me] = 'here'}
local function reach_of(client)
    if not reach[client] then
        local alive_until = score(C, client)
        if not alive_until or alive_until <= now then
            reach[client] = 'gone'
        else
            local listeners = try('PUBSUB', 'NUMSUB', 'asem:c:' .. client)
            reach[client] = tonumber(listeners[2]) == 0 and 'away' or 'here' -- 'here' if denied
        end
    end
    return reach[client]
end

local served, head = 0, ''
local function serve()
    local away = 0
    head = ''
    while away < places do
        write_places()
        local waiting = call('ZRANGE', Q, away, away + 15)
        if #waiting == 0 then return end -- never, but nobody could stop an endless loop
        for _, id in ipairs(waiting) do
            local client, serial, n, length = parts(id)
            local where = reach_of(client)
            if where == 'away' then
                away = away + 1
                if away == PLACES_PASSED_OVER then return end
            elseif where == 'here' and (now < m.quar or held + n > limit) then
                head = client
                return
            elseif served == PLACES_SERVED then
                has_more = true
                return
            else
                served = served + 1
                local i = waiting_request(id, n, length)
                leave(i)
                if where == 'here' then
                    seq = seq + 1
                    came_out(i, client, serial, GRANTED, seq, hold(i, seq))
                end
            end
        end
    end
end

serve()
local has_withdrawn = false
for _, p in ipairs(pending) do
    if p.is_try and leave(p.request) then has_withdrawn = true end
end
if has_withdrawn then serve() end -- the requests that they held back

for _, p in ipairs(pending) do
    local o = outcome[p.request]
    if o then
        result(p.command, o[1], o[2], o[3])
    elseif p.is_try then
        result(p.command, REFUSED)
    end
end
for _, i in ipairs(mine_in_order) do
    if not is_pending[i] then
        local o = outcome[i]
        if o[1] == GRANTED then
            for _, number in ipairs({o[4], o[2], o[3]}) do table.insert(granted, number) end
        else
            table.insert(exceeded, o[4])
        end
    end
end

-- ---- The end.

write_leases()
write_places()
local next_expiry = head ~= '' and call('ZRANGE', L, 0, 0, 'WITHSCORES')[2] -- only for a head
next_expiry = next_expiry and max(0, next_expiry - now) or -1
if head ~= head_before and head ~= '' and head ~= me then tell(head, 'H ' .. text(next_expiry)) end

seq = seq + 1
local is_idle_time_due = now - m.kept >= DAY / 2 or now < m.kept or m.maxl ~= fields[12]
if is_idle_time_due then m.kept = now end
m.limit, m.held, m.seq, m.last = limit, held, seq, now
m.nl, m.nq, m.nc = leases, places, clients
local changed = {}
for i = 1, 13 do
    local name = names[i]
    if (m[name] or false) ~= fields[i] then
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

-- Consecutive equal results form one run.
local results, group = {}, -3
local verdict, next_first, second
for c = 1, size do
    local v, first = verdicts[c], firsts[c] or 0
    if v == verdict and first == next_first and seconds[c] == second then
        results[group] = results[group] + 1
    else
        group, verdict, second = group + 4, v, seconds[c]
        results[group], results[group + 1] = 1, v
        results[group + 2], results[group + 3] = first, second or 0
    end
    next_first = v == GRANTED and first + 1 or first
end
return {OK, now, m.made, m.rolls, limit, seq, held, places, next_expiry,
    head == me and 1 or 0, max(0, m.quar - now), has_more and 1 or 0, results, granted, exceeded}
)lua";

} // namespace asio_semaphore::detail::fleet
