-- Holds the first request of a client until this process has learnt all persistence records of the process before it.
-- The entry "ready" of the table steelyard_sync is taught last. Without a teacher the wait ends after a second, once.
local given_up = false

core.register_action("await_persistence", { "tcp-req", "http-req" }, function(txn)
  if given_up then return end
  local known = core.backends["steelyard_sync"].stktable
  for _ = 1, 500 do
    if known:lookup("ready") then return end
    core.msleep(2)
  end
  given_up = true
end)
