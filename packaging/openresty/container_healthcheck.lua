--- Sends each user's request to a host where their app lives, for Nginx with its Lua module (OpenResty has it).
--
-- One worker holds one question to each host open, "how do your apps stand? tell me when that changes", and keeps the answers in
-- a shared dictionary. All workers decide from there: a user's request waits for nobody. The options are below; http.conf,
-- location-route.conf and location-balance.conf beside this file are how it is used.

local balancer = require "ngx.balancer"

local M = { _VERSION = "2.0.0" }

local DEFAULTS = {
    prefix = "/container-healthcheck", -- before `/apps` on each host
    dict = "container_healthcheck", -- the name of the lua_shared_dict
    wait = 30, -- seconds that a host holds an answer back; below the proxy_read_timeout of its Nginx
    last_for = 60, -- seconds that the last verdicts of a silent host stand, and that none = "last" uses the last one that was up
    none = "last", -- when all servers of an app are down: "last", "all" or "503"
    servers = false, -- of each app, "*" for all others; without it those of the upstream that is named after the app
}

local FIRST_PAUSE, LONGEST_PAUSE = 0.02, 10 -- seconds between two tries to reach a host
local LOOK = 5 -- seconds after which it is looked whether a host that holds an answer back is still there
local UNREACHED = 10 -- seconds for which balance() leaves an address alone that could not be reached, as `fail_timeout` does elsewhere
local LONGEST_ANSWER = 8 * 1024 * 1024
local MOST_CHOICES = 1000

local options, dict
local may_refuse = true -- whether there can be a request that guard() ends

-- --------------------------------------------------------------------------------------------------------------------------
-- JSON, as strict as RFC 8259: a parser of its own, since Debian's Nginx comes without one. Each function takes a text and where
-- to read on, and gives a value and where that ends. What is wrong is raised.

local read_value

local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function wrong(at)
    error({ json = "not JSON at byte " .. at })
end

local function skip_space(text, at)
    return text:match("^[ \t\r\n]*()", at)
end

local function utf8(code)
    if code < 0x80 then
        return string.char(code)
    end
    local tail = string.char(0x80 + code % 0x40)
    if code < 0x800 then
        return string.char(0xC0 + math.floor(code / 0x40)) .. tail
    end
    tail = string.char(0x80 + math.floor(code / 0x40) % 0x40) .. tail
    if code < 0x10000 then
        return string.char(0xE0 + math.floor(code / 0x1000)) .. tail
    end
    return string.char(0xF0 + math.floor(code / 0x40000), 0x80 + math.floor(code / 0x1000) % 0x40) .. tail
end

-- The four digits of \uXXXX, and of the second half that must follow if that is the first half of a pair.
local function read_code(text, at)
    local digits = text:match("^%x%x%x%x", at) or wrong(at)
    local code = tonumber(digits, 16)
    if code < 0xD800 or code > 0xDFFF then
        return code, at + 4
    end
    local low = tonumber(text:match("^\\u([dD][c-fC-F]%x%x)", at + 4) or wrong(at), 16)
    if code > 0xDBFF then
        wrong(at)
    end
    return 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00), at + 10
end

local function read_string(text, at)
    local parts = {}
    at = at + 1
    while true do
        local plain, stop = text:match('^([^%z\1-\31"\\]*)()', at)
        parts[#parts + 1] = plain
        local byte = text:sub(stop, stop)
        if byte == '"' then
            return table.concat(parts), stop + 1
        elseif byte ~= "\\" then
            wrong(stop)
        elseif text:sub(stop + 1, stop + 1) == "u" then
            local code
            code, at = read_code(text, stop + 2)
            parts[#parts + 1] = utf8(code)
        else
            parts[#parts + 1] = ESCAPES[text:sub(stop + 1, stop + 1)] or wrong(stop)
            at = stop + 2
        end
    end
end

local function read_number(text, at)
    local stop = text:match("^-?0()", at) or text:match("^-?[1-9]%d*()", at) or wrong(at)
    stop = text:match("^%.%d+()", stop) or stop
    stop = text:match("^[eE][+-]?%d+()", stop) or stop
    return tonumber(text:sub(at, stop - 1)), stop
end

-- What stands between brackets: `read_item` reads one of many, which commas divide.
local function read_items(text, at, close, read_item)
    at = skip_space(text, at + 1)
    if text:sub(at, at) == close then
        return at + 1
    end
    while true do
        at = skip_space(text, read_item(at))
        local byte = text:sub(at, at)
        if byte == close then
            return at + 1
        elseif byte ~= "," then
            wrong(at)
        end
        at = skip_space(text, at + 1)
    end
end

local function read_object(text, at, depth)
    local object = {}
    return object, read_items(text, at, "}", function(start)
        if text:sub(start, start) ~= '"' then
            wrong(start)
        end
        local key, stop = read_string(text, start)
        stop = skip_space(text, stop)
        if text:sub(stop, stop) ~= ":" then
            wrong(stop)
        end
        object[key], stop = read_value(text, skip_space(text, stop + 1), depth + 1)
        return stop
    end)
end

local function read_array(text, at, depth)
    local array = {}
    return array, read_items(text, at, "]", function(start)
        local value, stop = read_value(text, start, depth + 1)
        array[#array + 1] = value
        return stop
    end)
end

function read_value(text, at, depth)
    local byte = text:sub(at, at)
    if depth > 20 then
        wrong(at)
    elseif byte == "{" then
        return read_object(text, at, depth)
    elseif byte == "[" then
        return read_array(text, at, depth)
    elseif byte == '"' then
        return read_string(text, at)
    elseif text:find("^true", at) then
        return true, at + 4
    elseif text:find("^false", at) then
        return false, at + 5
    elseif text:find("^null", at) then
        return nil, at + 4
    end
    return read_number(text, at)
end

-- The value of a whole text, or nil and what is wrong. A null is nil, wherever it stands.
local function decode(text)
    local ok, value, at = pcall(read_value, text, skip_space(text, 1), 1)
    if not ok then
        return nil, type(value) == "table" and value.json or tostring(value)
    end
    at = skip_space(text, at)
    if at <= #text then
        return nil, "not JSON at byte " .. at
    end
    return value
end

-- --------------------------------------------------------------------------------------------------------------------------
-- What is known of a host, as one text in the shared dictionary:
--
--     unknown 1709878119.123 timeout     or `known 0 live`: since when nothing is known, and how the host itself stands
--     bk_iam up
--     bk_gse 1709878119.123              down, and when it was last seen up, if that is not long ago
--
-- An app that is not there is down.

local function log(level, ...)
    ngx.log(level, "container_healthcheck: ", ...)
end

-- What a host has sent, as it may stand in a log and in that text.
local function escape(text)
    return (tostring(text):sub(1, 200):gsub("[^\32-\126]", function(byte)
        return ("\\x%02X"):format(byte:byte())
    end))
end

-- The names that hosts give to apps; what else stands there is none.
local function is_app(name)
    return type(name) == "string" and #name <= 128 and name:find("^%w[%w_.-]*$") ~= nil
end

-- nil: nothing was ever heard of that host.
local function load_host(address)
    local text = dict and dict:get("host " .. address)
    if not text then
        return nil
    end
    local state, since, words, apps = text:match("^(%a+) (%S+) ([^\n]*)\n(.*)$")
    local host = { unknown_since = state == "unknown" and tonumber(since) or nil, words = words, up = {}, was_up = {} }
    for app, last in apps:gmatch("(%S+) (%S+)\n") do
        if last == "up" then
            host.up[app] = true
        else
            host.was_up[app] = tonumber(last)
        end
    end
    return host
end

local function save_host(address, host)
    local lines = {}
    for app in pairs(host.up) do
        lines[#lines + 1] = app .. " up\n"
    end
    for app, last in pairs(host.was_up) do
        lines[#lines + 1] = ("%s %.3f\n"):format(app, last)
    end
    -- Equal facts are an equal text.
    table.sort(lines)
    local state = host.unknown_since and "unknown" or "known"
    local text = ("%s %.3f %s\n"):format(state, host.unknown_since or 0, host.words) .. table.concat(lines)
    if text == dict:get("host " .. address) then
        return
    end
    local ok, err, forcible = dict:set("host " .. address, text)
    if not ok or forcible then
        log(ngx.ERR, "the lua_shared_dict is too small: ", err or "a host had to make room")
    end
    -- After the text: whoever has seen the new number has the new text too.
    dict:incr("version", 1, 0)
end

local function log_change(address, old, host, is_told)
    if not old or old.words ~= host.words or (old.unknown_since == nil) ~= (host.unknown_since == nil) then
        local level = is_told and host.words ~= "stale" and ngx.NOTICE or ngx.WARN
        return log(level, address, host.unknown_since and " is unknown: " or " is ", host.words)
    end
    for app in pairs(host.up) do
        if not old.up[app] then
            log(ngx.NOTICE, address, ": ", app, " is up")
        end
    end
    for app in pairs(old.up) do
        if not host.up[app] then
            log(ngx.WARN, address, ": ", app, " is down")
        end
    end
end

-- Takes how a host stands, in words, and its apps; without apps it has become unknown. `is_told`: by the host itself.
local function learn(address, words, apps, is_told)
    local now = ngx.now()
    local old = load_host(address)
    local before = old or { up = {}, was_up = {} }
    local is_first = not old or old.unknown_since == 0
    local host = { words = escape(words), up = {}, was_up = {} }
    if apps then
        for app, standing in pairs(apps) do
            if type(standing) == "table" and is_app(app) then
                -- Its containers run, and a daemon that has just started will know more in a moment: what was known stands.
                local is_open = standing.reason == "checking" and (before.up[app] or is_first)
                host.up[app] = standing.up == true or is_open or nil
            end
        end
    else
        -- One of which nothing was ever heard has no verdicts that could stand for a while.
        host.unknown_since = old and (old.unknown_since or now) or 0
        host.up = before.up
    end
    for app, last in pairs(before.was_up) do
        host.was_up[app] = not host.up[app] and now - last < options.last_for and last or nil
    end
    for app in pairs(before.up) do
        host.was_up[app] = not host.up[app] and (before.unknown_since or now) or nil
    end
    log_change(address, old, host, is_told)
    save_host(address, host)
end

-- --------------------------------------------------------------------------------------------------------------------------
-- The one worker that watches.

-- Through that port users come, too: who cannot connect to it is of no use to them, whatever the apps do behind it. All other
-- errors may be ours.
local UNREACHABLE = { ["connection refused"] = true, ["no route to host"] = true, timeout = true }

-- A worker that is to go, as after `nginx -s reload`, or in whose place another one watches.
local function is_over(watched)
    return ngx.worker.exiting() or dict:get("watcher") ~= watched.by
end

-- A connection; or nil, what is wrong, and no apps if that is known of a host that cannot be reached.
local function connect(watched)
    local sock = ngx.socket.tcp()
    sock:settimeouts(3000, 3000, 1000)
    local ok, err = sock:connect(watched.host, watched.port)
    if ok then
        return sock
    elseif UNREACHABLE[err] then
        return nil, "unreachable: " .. err, {}
    end
    return nil, err
end

-- A line that may take some seconds to come. Each second it looks whether this worker is to go, which would wait for it.
local function read_line(sock, watched, seconds)
    local line = ""
    for second = 1, seconds do
        local rest, err, part = sock:receive("*l")
        line = line .. (rest or part or "")
        if rest then
            return line
        elseif err ~= "timeout" or is_over(watched) then
            return nil, err
        elseif second % LOOK == 0 then
            -- A host that has lost its power, or the network before it, is silent as one that waits is. Only a new connection tells.
            local other, words, none = connect(watched)
            if other then
                other:close()
            elseif none then
                return nil, words, none
            end
        end
    end
    return nil, "timeout"
end

-- The index of an answer of HTTP, and its body; or nil and what is wrong, as of `connect`.
local function read_answer(sock, watched, seconds)
    local line, err, none = read_line(sock, watched, seconds)
    if not line then
        return nil, err, none
    elseif not line:find("^HTTP/1%.[01] 200") then
        return nil, line
    end
    local index
    for _ = 1, 100 do
        line, err = read_line(sock, watched, 5)
        if not line then
            return nil, err
        elseif line == "" then
            break
        end
        index = line:lower():match("^x%-index:%s*(%d+)%s*$") or index
    end
    if not index then
        return nil, "an answer without X-Index"
    end
    sock:settimeout(5000)
    local parts, size = {}, 0
    repeat
        local data, failure, rest = sock:receive(64 * 1024)
        parts[#parts + 1] = data or rest
        size = size + #(data or rest or "")
        if failure and failure ~= "closed" then
            return nil, failure
        elseif size > LONGEST_ANSWER then
            return nil, "an answer that is too long"
        end
    until not data
    return index, table.concat(parts)
end

-- Asks a host how its apps stand. With an index it answers when that has changed, or `wait` seconds are over. Gives the index of
-- the answer, how the host stands, and its apps; without an index, what is wrong, and the apps if it is known that there are none.
local function ask(watched)
    local sock, wrong, none = connect(watched)
    if not sock then
        return nil, wrong, none
    end
    local query = watched.index and ("?index=%s&wait=%d"):format(watched.index, options.wait) or ""
    -- HTTP/1.0: the answer ends with the connection, and is never in chunks.
    local ok, err = sock:send(("GET %s/apps%s HTTP/1.0\r\nHost: %s\r\n\r\n"):format(options.prefix, query, watched.address))
    if not ok then
        return nil, err
    end
    local index, body
    index, body, none = read_answer(sock, watched, (watched.index and options.wait or 0) + 5)
    sock:close()
    if not index then
        return nil, body, none
    end
    local answer, fault = decode(body)
    local message = type(answer) == "table" and answer.message
    if type(message) ~= "table" or type(message.docker) ~= "string" or type(message.apps) ~= "table" then
        return nil, fault or "not an answer about all apps"
    elseif message.docker == "down" then
        -- What it says of its apps then is no verdict on them.
        return index, "docker is down"
    end
    return index, message.docker, message.apps
end

-- Asks once, keeps the answer, and comes again: a timer for each question, so that what a question took is given back.
local function watch_host(is_premature, watched)
    if is_premature or is_over(watched) then
        return
    end
    local started = ngx.now()
    -- A fault in here must not leave a host with its verdicts for ever.
    local ok, index, words, apps = pcall(ask, watched)
    if not ok then
        index, words, apps = nil, index, nil
    end
    if is_over(watched) then
        return
    end
    learn(watched.address, words, apps, index ~= nil)
    local pause
    if not index then
        pause = watched.pause
        watched.pause = math.min(2 * pause, LONGEST_PAUSE)
    else
        -- Who answers at once, although nothing has changed, is asked once a second; a host where all changes all the time, 100 times.
        pause = index == watched.index and ngx.now() - started < 1 and 1 or 0.01
        watched.pause = FIRST_PAUSE
    end
    watched.index = index
    local err
    ok, err = ngx.timer.at(pause, watch_host, watched)
    if not ok and not is_over(watched) then
        learn(watched.address, "no timer: " .. err)
    end
end

-- --------------------------------------------------------------------------------------------------------------------------
-- The servers of an app.

-- A server as "ip:port", or as a table with that first, and with `weight` and `backup`.
local function server_of(given)
    local server = type(given) == "table" and given or { given }
    local address = tostring(server[1])
    local host, port = address:match("^([%d.]+):(%d+)$")
    if not host then
        host, port = address:match("^(%[[%x:.]+%]):(%d+)$")
    end
    local weight = server.weight or 1
    if not host or type(weight) ~= "number" or weight <= 0 then
        error("container_healthcheck: a server is \"ip:port\" or { \"ip:port\", weight = 1, backup = false }, not " .. escape(address), 0)
    end
    return { address = address, host = host, port = tonumber(port), weight = weight, backup = server.backup == true }
end

local function each_server_of(list)
    local servers = {}
    for _, given in ipairs(list) do
        servers[#servers + 1] = server_of(given)
    end
    return servers
end

-- The servers of an upstream of Nginx's configuration, if there is one of that name.
local function servers_of_upstream(name)
    local list = require("ngx.upstream").get_servers(name)
    local servers = {}
    for _, given in ipairs(list or {}) do
        -- A name that was looked up when Nginx started has several addresses.
        for _, address in ipairs(type(given.addr) == "table" and given.addr or { given.addr }) do
            local ok, server = pcall(server_of, { address, weight = given.weight, backup = given.backup })
            -- Those that are no app's may be Unix sockets; `server 0.0.0.1` is nobody.
            if ok and not given.down and not address:find("^0%.") then
                servers[#servers + 1] = server
            end
        end
    end
    return servers
end

-- nil if there are none.
local function servers_of(app)
    local servers
    if options.servers then
        servers = options.servers[app] or options.servers["*"]
    else
        servers = servers_of_upstream(app)
    end
    return servers and servers[1] and servers
end

-- All addresses there are.
local function hosts_to_watch()
    local lists = options.servers or {}
    if not options.servers then
        for _, name in ipairs(require("ngx.upstream").get_upstreams()) do
            lists[name] = servers_of_upstream(name)
        end
    end
    local hosts = {}
    for _, servers in pairs(lists) do
        for _, server in ipairs(servers) do
            hosts[server.address] = server
        end
    end
    return hosts
end

-- --------------------------------------------------------------------------------------------------------------------------
-- The choice among the servers of an app, as each worker keeps it until something changes.

local version, looked_at = false, 0 -- the version of the shared dictionary that all this comes from, and when it was looked at
local hosts, choices, choice_count

-- How an app stands on a server, until when that is so by itself, and when it was last up there.
local function stands(app, address, now)
    local host = hosts[address]
    if host == nil then
        host = load_host(address) or false
        hosts[address] = host
    end
    local lapses = host and host.unknown_since and host.unknown_since + options.last_for or math.huge
    if not host or now >= lapses then
        return "unknown", math.huge
    end
    return host.up[app] and "up" or "down", lapses, host.was_up[app]
end

-- Servers in tiers: one is used only when no server is left in those before it.
local function judge(app, servers, now)
    local up, unknown, down = { {}, {} }, { {}, {} }, { {}, {} } -- of each, those that are backups come second
    local by_standing = { up = up, unknown = unknown, down = down }
    local expires, last_at, last = math.huge, now - options.last_for, {}
    for _, server in ipairs(servers) do
        local standing, lapses, was_up = stands(app, server.address, now)
        -- Each begins somewhere, so that many changes in a row favour nobody.
        local entry = { server = server, turn = math.random() * server.weight }
        table.insert(by_standing[standing][server.backup and 2 or 1], entry)
        expires = math.min(expires, lapses)
        if was_up and was_up > last_at then
            last_at, last = was_up, { entry }
        end
    end
    local choice = { expires = expires, count = #servers - #down[1] - #down[2] }
    local tiers = { up[1], up[2], unknown[1], unknown[2] }
    if choice.count == 0 then
        choice.count, choice.refuses = #servers, options.none == "503"
        tiers = { down[1], down[2] }
        if options.none == "last" and last[1] then
            table.insert(tiers, 1, last)
            choice.expires = math.min(expires, last_at + options.last_for)
        end
    end
    for _, tier in ipairs(tiers) do
        if tier[1] then
            tier.is_even, tier.turn = true, math.random(#tier)
            for _, entry in ipairs(tier) do
                tier.is_even = tier.is_even and entry.server.weight == tier[1].server.weight
            end
            choice[#choice + 1] = tier
        end
    end
    return choice
end

-- nil if there are no servers for that app.
local function choose(app)
    local now = ngx.now()
    if now ~= looked_at then
        -- Nginx's time has moved on: once a millisecond is enough. The dictionary has one lock for all workers.
        local present = dict and dict:get("version")
        if present ~= version then
            version, hosts, choices, choice_count = present, {}, {}, 0
        end
        looked_at = now
    end
    local choice = choices[app]
    if not choice or now >= choice.expires then
        local servers = servers_of(app)
        if not servers then
            return nil
        end
        if choice_count >= MOST_CHOICES then
            -- Names come from users, who may make them up.
            choices, choice_count = {}, 0
        end
        choice = judge(app, servers, now)
        choices[app], choice_count = choice, choice_count + 1
    end
    return choice
end

-- The next one of a tier by weighted round robin, as Nginx does it. In `tried` are the addresses of those that have failed, with
-- a space before and after each.
local function next_of(tier, tried)
    if tier.is_even and not tried then
        -- The same without a loop.
        tier.turn = tier.turn % #tier + 1
        return tier[tier.turn].server
    end
    local best, total = nil, 0
    for _, entry in ipairs(tier) do
        if not tried or not tried:find(" " .. entry.server.address .. " ", 1, true) then
            entry.turn = entry.turn + entry.server.weight
            total = total + entry.server.weight
            if not best or entry.turn > best.turn then
                best = entry
            end
        end
    end
    if best then
        best.turn = best.turn - total
        return best.server
    end
end

-- The next server, none of those in `tried`; nil if there are no others.
local function pick(choice, tried)
    if not tried then
        return next_of(choice[1])
    end
    for _, tier in ipairs(choice) do
        local server = next_of(tier, tried)
        if server then
            return server
        end
    end
end

local unreached, unreached_until = {}, 0 -- by address, until when it is left alone; and the latest of these times

-- The last try of this request has failed. Who could not be connected to would keep the next user waiting for as long, until its
-- silence is noticed by the worker that watches.
local function learn_from_try()
    if ngx.var.upstream_connect_time:find("- : $") then
        unreached_until = looked_at + UNREACHED
        unreached[ngx.var.upstream_addr:match("([^ ,]+) : $") or ""] = unreached_until
    end
end

-- With the addresses that are left alone.
local function and_unreached(tried)
    for address, till in pairs(unreached) do
        if looked_at < till then
            tried = (tried or " ") .. address .. " "
        else
            unreached[address] = nil
        end
    end
    return tried
end

-- The choice for the app in $app. Where there is none, the request ends here.
local function choose_or_refuse()
    if not options then
        log(ngx.ERR, "watch() has not been called, or has failed")
        return ngx.exit(ngx.HTTP_SERVICE_UNAVAILABLE)
    end
    local choice = choose(ngx.var.app or "")
    if not choice then
        return ngx.exit(ngx.HTTP_NOT_FOUND)
    elseif choice.refuses then
        return ngx.exit(ngx.HTTP_SERVICE_UNAVAILABLE)
    end
    return choice
end

-- --------------------------------------------------------------------------------------------------------------------------
-- What a configuration calls.

local function checked(given)
    local result = {}
    for name, default in pairs(DEFAULTS) do
        result[name] = default
    end
    for name, value in pairs(given or {}) do
        if result[name] == nil then
            error("container_healthcheck: there is no option " .. escape(name), 0)
        end
        result[name] = value
    end
    result.none = tostring(result.none)
    if result.none ~= "last" and result.none ~= "all" and result.none ~= "503" then
        error("container_healthcheck: none is \"last\", \"all\" or \"503\", not " .. escape(result.none), 0)
    end
    if result.servers then
        local servers = {}
        for app, list in pairs(result.servers) do
            servers[app] = each_server_of(list)
        end
        result.servers = servers
    elseif not pcall(require, "ngx.upstream") then
        error("container_healthcheck: servers is missing, and this Nginx has no ngx.upstream", 0)
    end
    return result
end

-- Whether every app there can be has a server that its requests may go to, whatever the hosts say.
local function has_always_one()
    local lists = options.servers or {}
    for _, servers in pairs(lists) do
        if not servers[1] then
            return false
        end
    end
    return lists["*"] ~= nil and options.none ~= "503"
end

--- For init_worker_by_lua: begins to watch, in one of the workers. Takes a table of options.
function M.watch(given)
    options = checked(given)
    may_refuse = not has_always_one()
    dict = ngx.shared[options.dict]
    if not dict then
        return log(ngx.ERR, "nothing is known of any host: there is no lua_shared_dict ", options.dict)
    elseif ngx.worker.id() ~= 0 then
        return
    end
    local watched = hosts_to_watch()
    -- One that is taken out, and put in again much later, is not to come back with the verdicts of then.
    for _, key in ipairs(dict:get_keys(0)) do
        local address = key:match("^host (.*)")
        if address and not watched[address] then
            dict:delete(key)
        end
    end
    local by = dict:incr("watcher", 1, 0)
    for address, server in pairs(watched) do
        local ok, err =
            ngx.timer.at(0, watch_host, { address = address, host = server.host, port = server.port, by = by, pause = FIRST_PAUSE })
        if not ok then
            log(ngx.ERR, address, " is not watched: ", err)
        end
    end
end

--- For rewrite_by_lua: sets $target_up to a server where the app in $app lives. Ends the request with 404 if that app has no
--- servers, with 503 if all are down and none = "503".
function M.route()
    ngx.var.target_up = pick(choose_or_refuse()).address
end

--- For access_by_lua, before balance(): ends the request as route() would. A balancer can send no answer of its own.
function M.guard()
    if may_refuse then
        choose_or_refuse()
    end
end

--- For balancer_by_lua: sends this try of the request to a server where the app in $app lives, and each further try to another.
--- Where there is no server, Nginx takes the one of the upstream block, which nobody is: 502.
function M.balance()
    local choice = options and choose(ngx.var.app or "")
    if not choice then
        return
    end
    local tried
    if balancer.get_last_failure() then
        -- "10.0.0.1:8010, 10.0.0.2:8010 : ", where the last one is the try that is about to be made.
        tried = " " .. ngx.var.upstream_addr:gsub(",", "") .. " "
        learn_from_try()
    elseif choice.count > 1 then
        balancer.set_more_tries(choice.count - 1)
    end
    local server = looked_at < unreached_until and pick(choice, and_unreached(tried)) or pick(choice, tried) or pick(choice)
    local ok, err = balancer.set_current_peer(server.host, server.port)
    if not ok then
        log(ngx.ERR, server.address, ": ", err)
    end
end

-- For its tests alone.
M._decode = decode

return M
