-- Holds the first request of a client until this process has all persistence records of the process before it: until it is
-- marked so in the table steelyard_sync, or has the entry that is taught last. A process that stops has had them and has
-- lost the mark only. Without a teacher the wait ends after five seconds, once: a busy host needs more than one to teach.
local WAIT = 5
local given_up = false

local function seconds()
  local now = core.now()
  return now.sec + now.usec / 1000000
end

core.register_action("await_persistence", { "tcp-req", "http-req" }, function(txn)
  if given_up or core.get_info()["Stopping"] == 1 then return end
  local marked = core.backends["steelyard_sync"].stktable
  local started, pause = seconds(), 2
  while seconds() - started < WAIT do
    if given_up or marked:lookup("ready") or txn.c:in_table("ready", "steelyard/taught") == 1 then return end
    core.msleep(pause)
    -- many who wait must not take the time of the one who teaches
    pause = math.min(pause * 2, 32)
  end
  given_up = true
end)
