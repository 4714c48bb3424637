-- Holds the first request of a client until this process has all persistence records of the process before it: until it is
-- marked so in the table steelyard_sync, or has the entry that is taught last. A process that stops has had them and has
-- lost the mark only. Without a teacher the wait ends after a second, once.
local given_up = false

core.register_action("await_persistence", { "tcp-req", "http-req" }, function(txn)
  if given_up or core.get_info()["Stopping"] == 1 then return end
  local marked = core.backends["steelyard_sync"].stktable
  for _ = 1, 500 do
    if marked:lookup("ready") or txn.c:in_table("ready", "steelyard/taught") == 1 then return end
    core.msleep(2)
  end
  given_up = true
end)
