-- STARTTLS for mail: a client is spoken to in plain text, in place of the real server, until it asks for TLS. What follows
-- are the bytes of its TLS, which go on to a listener that ends it. The real server then greets a client that has been
-- greeted already, so its greeting is taken out of its answer; if it is no greeting but a refusal, it is passed on.
--
-- Nothing a client says in plain text is kept. What somebody puts in behind the word that begins TLS becomes part of the
-- TLS bytes, which it breaks: it is never taken for a command (CVE-2011-0411).
local MOST_COMMANDS = 25

-- Waits for a line and takes it. Nil when the client has gone, or what it sends is no line.
local function line(channel)
  local text = channel:line()
  if type(text) ~= "string" or text:sub(-1) ~= "\n" then return nil end
  channel:remove(0, #text)
  return text
end

-- A protocol greets, and says to each line: an answer, and "tls" to begin TLS or "end" to close.
local Protocols = {}

Protocols.smtp = {
  greeting = function(host) return "220 " .. host .. " ESMTP\r\n" end,
  answer = function(text, host)
    local verb, rest = text:match("^(%a+)%s*(.-)%s*$")
    verb = verb and verb:upper()
    if verb == "EHLO" then return "250-" .. host .. "\r\n250 STARTTLS\r\n" end
    if verb == "HELO" then return "250 " .. host .. "\r\n" end
    if verb == "NOOP" or verb == "RSET" then return "250 2.0.0 Ok\r\n" end
    if verb == "QUIT" then return "221 2.0.0 Bye\r\n", "end" end
    if verb == "STARTTLS" and rest == "" then return "220 2.0.0 Ready to start TLS\r\n", "tls" end
    if verb == "STARTTLS" then return "501 5.5.4 STARTTLS takes no parameters\r\n" end
    return "530 5.7.0 Must issue a STARTTLS command first\r\n"
  end,
  -- a greeting of several lines has a dash in all but its last
  greets = function(text) return text:match("^220") ~= nil, text:sub(4, 4) ~= "-" end,
}

Protocols.imap = {
  greeting = function() return "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n" end,
  answer = function(text)
    local tag, verb = text:match("^([%w._-]+) +(%a+)%s*$")
    verb = verb and verb:upper()
    if verb == "CAPABILITY" then
      return "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n" .. tag .. " OK done\r\n"
    end
    if verb == "NOOP" then return tag .. " OK done\r\n" end
    if verb == "LOGOUT" then return "* BYE\r\n" .. tag .. " OK done\r\n", "end" end
    if verb == "STARTTLS" then return tag .. " OK Begin TLS negotiation now\r\n", "tls" end
    tag = text:match("^([%w._-]+) ")
    return (tag or "*") .. (tag and " NO" or " BAD") .. " STARTTLS first\r\n"
  end,
  greets = function(text) return text:match("^%* OK") ~= nil, true end,
}

Protocols.pop3 = {
  greeting = function() return "+OK ready\r\n" end,
  answer = function(text)
    local verb = text:match("^(%a+)%s*$")
    verb = verb and verb:upper()
    if verb == "CAPA" then return "+OK\r\nSTLS\r\n.\r\n" end
    if verb == "QUIT" then return "+OK bye\r\n", "end" end
    if verb == "STLS" then return "+OK Begin TLS negotiation\r\n", "tls" end
    return "-ERR STLS first\r\n"
  end,
  greets = function(text) return text:match("^%+OK") ~= nil, true end,
}

core.register_action("steelyard_starttls", { "tcp-req" }, function(txn, name, host)
  local protocol = Protocols[name]
  txn.res:send(protocol.greeting(host))
  for _ = 1, MOST_COMMANDS do
    local text = line(txn.req)
    if not text then return act.DENY end
    local answer, what = protocol.answer(text, host)
    txn.res:send(answer)
    if what == "end" then return act.DENY end
    if what == "tls" then
      txn:set_var("txn.starttls", true)
      return act.CONTINUE
    end
  end
  return act.DENY
end, 2)

core.register_action("steelyard_greeting", { "tcp-res" }, function(txn, name)
  while true do
    local text = txn.res:line()
    if type(text) ~= "string" or text:sub(-1) ~= "\n" then return act.CONTINUE end
    local is_greeting, is_last = Protocols[name].greets(text)
    if not is_greeting then return act.CONTINUE end
    txn.res:remove(0, #text)
    if is_last then return act.CONTINUE end
  end
end, 1)
