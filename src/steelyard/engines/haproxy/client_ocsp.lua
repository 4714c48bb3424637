-- Whether a client's certificate still holds: steelyard-health knows, or asks an OCSP responder. Its answer is a word and
-- for how many seconds that may be remembered. All threads share what is remembered (lua-load).
local SOCKET = debug.getinfo(1, "S").source:match("^@(.*)/engine/[^/]*$") .. "/run/ocsp.sock"
local SECONDS = 6
local MOST = 20000

local known, count = {}, 0

local function hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

local function ask(line)
  local socket = core.tcp()
  socket:settimeout(SECONDS)
  if not socket:connect("unix@" .. SOCKET) then return "failed", 0 end
  local answer = socket:send(line) and socket:receive("*l")
  socket:close()
  local word, seconds = (answer or ""):match("^(%a+) (%d+)$")
  if not word then return "failed", 0 end
  return word, tonumber(seconds)
end

core.register_action("steelyard_ocsp", { "tcp-req" }, function(txn, authorities, responder)
  local certificate = txn.f:ssl_c_der()
  if not certificate or #certificate == 0 then
    txn:set_var("sess.ocsp", "none")
    return
  end
  local key = txn.c:sha2(certificate, 256) .. authorities .. responder
  local now = core.now().sec
  local entry = known[key]
  if not entry or entry.till <= now then
    local chain = txn.f:ssl_c_chain_der() or ""
    local word, seconds = ask(authorities .. " " .. responder .. " " .. hex(certificate) .. " " .. hex(chain) .. "\n")
    entry = { word = word, till = now + seconds }
    if count >= MOST then known, count = {}, 0 end
    if not known[key] then count = count + 1 end
    known[key] = entry
  end
  txn:set_var("sess.ocsp", entry.word)
end, 2)
