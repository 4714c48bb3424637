-- Replaces what matches regular expressions in the bodies of answers, as they pass. One filter does all content rules of a
-- service, five words for each: the expression, the replacement after a `=` (\0 to \9 stand for groups), "case" or
-- "any-case", the flag that has to be set and the one that must not be (0 for none).
--
-- Text goes through the rules in Lua, because HAProxy's buffer has no room to grow in. At most HELD bytes wait in each rule
-- for more of the body, so a match may be that long when it is spread over two reads. What matches at the very end of what
-- has come waits too, for the match may go on. The last byte of the body stays in HAProxy's buffer until all else has left:
-- an empty buffer would end the answer. The end of a chunked body and its trailers are part of what HAProxy calls the input
-- and not of what it calls the body (2.6 and 2.8, tried); they leave last, and have to be passed on like text.
local HELD = 1024
-- what is searched at once: HAProxy finds nothing in a text longer than its buffer
local WINDOW = 8192
-- pieces in which text is put back when it does not fit whole
local PIECES = { 8192, 2048, 512, 128, 32 }
-- types of text; a stream of events would wait for its next event to get the last one out
local TEXTUAL = { "^text/", "json", "xml", "javascript", "x%-www%-form%-urlencoded" }
local STREAMED = "^text/event%-stream"

-- HAProxy before 2.8 does not come back to a filter that has left data of an ended body, unless it is woken. Newer ones
-- do, and waking them is not safe: 2.8.25 aborts when it is done in the middle of a body.
local must_be_woken = core.get_info()["Version"]:match("^2%.[0-7]%.") ~= nil

local Replacement = { id = "replace_in_body", flags = filter.FLT_CFG_FL_HTX }
Replacement.__index = Replacement

function Replacement:new()
  return setmetatable({ stages = {} }, { __index = self })
end

function Replacement:start_analyze(txn, channel)
  if channel:is_resp() then filter.register_data_filter(self, channel) end
end

local function first(headers, name)
  return headers[name] and headers[name][0] and headers[name][0]:lower()
end

local function is_text(headers)
  local kind = first(headers, "content-type")
  if not kind or kind:find(STREAMED) then return false end
  for _, pattern in ipairs(TEXTUAL) do
    if kind:find(pattern) then return true end
  end
  return false
end

-- The rules whose flags let them act on this answer, with what each of them holds.
local function acting(rules, txn)
  local found = {}
  for _, rule in ipairs(rules) do
    local on = rule.only_on == "0" or txn:get_var("txn.flag" .. rule.only_on)
    local off = rule.only_without ~= "0" and txn:get_var("txn.flag" .. rule.only_without)
    if on and not off then found[#found + 1] = { rule = rule, held = "", begun = false } end
  end
  return found
end

function Replacement:http_headers(txn, message)
  if not message.channel:is_resp() then return end
  local line, headers = message:get_stline(), message:get_headers()
  local code = tonumber(line.code)
  -- an answer of HTTP/1.0 has no chunks: its length could not be corrected
  local whole = line.version ~= "HTTP/1.0" and code ~= 206 and code ~= 204 and code ~= 304 and code >= 200
  local plain = (first(headers, "content-encoding") or "identity") == "identity"
  self.stages = whole and plain and is_text(headers) and acting(self.rules, txn) or {}
  self.waiting, self.finished, self.keeps = "", false, false
  if #self.stages == 0 then return end
  -- without a length HAProxy sends chunks
  message:del_header("content-length")
  -- a digest or a strong validator would be one of another body
  message:del_header("content-md5")
  message:del_header("digest")
  message:del_header("accept-ranges")
  local tag = headers["etag"] and headers["etag"][0]
  if tag and tag:sub(1, 2) ~= "W/" then message:set_header("etag", "W/" .. tag) end
end

local function expanded(replacement, groups)
  return (replacement:gsub("\\(%d)", function(digit) return groups[tonumber(digit) + 3] or "" end))
end

-- Where a rule matches first: how many bytes are before the match, how many are in it, its groups. Without a match that is
-- certain, the groups are nil and the bytes before are those that can be passed on.
local function search(stage, window, last)
  local rule = stage.rule
  local found, groups
  if not (rule.anchored and stage.begun) then found, groups = rule.regex:match(window) end
  if not found then return last and #window or math.max(0, #window - HELD), 0, nil end
  local before, matched = #groups[2], #groups[3]
  if not last and before > 0 and before + matched == #window then return before, 0, nil end
  return before, matched, groups
end

-- Text that has gone through one rule; `ended` says that no more will come.
local function through(stage, text, ended)
  local ready = {}
  text = stage.held .. text
  stage.held = ""
  while #text > 0 do
    local window = text:sub(1, WINDOW)
    local before, matched, groups = search(stage, window, ended and #window == #text)
    -- where nothing is in a match, one byte is passed on, so that there is an end to it
    if groups and matched == 0 then before = before + 1 end
    if before > 0 or matched > 0 then stage.begun = true end
    ready[#ready + 1] = text:sub(1, before)
    if matched > 0 then ready[#ready + 1] = expanded(stage.rule.replacement, groups) end
    local hold = not groups and not ended and #text <= WINDOW
    text = text:sub(before + matched + 1)
    if hold then
      stage.held = text
      break
    end
  end
  return table.concat(ready)
end

-- Take what has come, but for its last byte while more is to come; that byte stays in the buffer in any case.
local function taken(self, message, text, ended)
  if #text > 1 then message:remove(0, #text - 1) end
  self.finished, self.keeps = ended, #text > 0
  if not ended then text = text:sub(1, -2) end
  for _, stage in ipairs(self.stages) do text = through(stage, text, ended) end
  return text
end

-- Whether the real server has closed the connection. HAProxy says only whether more may be received, which it may not
-- either while the buffer is full.
local function closed(channel)
  return not channel:may_recv() and not channel:is_full() and channel:input() + channel:output() < HELD
end

function Replacement:http_payload(txn, message)
  if #self.stages == 0 or not message.channel:is_resp() then return end
  if self.waiting == "" and not self.finished then
    -- what ends with its connection has no other end
    local ended = message:eom() or closed(message.channel)
    local text = message:body(0, message:input()) or ""
    if ended or #text > 1 then self.waiting = taken(self, message, text, ended) end
  end
  local done = 0
  if self.waiting ~= "" and message:insert(self.waiting, 0) >= 0 then
    done, self.waiting = #self.waiting, ""
  end
  for _, size in ipairs(PIECES) do
    while self.waiting ~= "" and message:insert(self.waiting:sub(1, size), done) >= 0 do
      done = done + math.min(size, #self.waiting)
      self.waiting = self.waiting:sub(size + 1)
    end
  end
  if self.finished and self.waiting == "" then
    if self.keeps then message:remove(done, 1) end
    self.keeps = false
    return message:input()
  elseif self.waiting ~= "" and must_be_woken then
    filter.wake_time(1)
  end
  return done
end

core.register_filter("replace_in_body", Replacement, function(prototype, words)
  prototype.rules = {}
  for at = 1, #words, 5 do
    local good, regex = Regex.new("^([\\s\\S]*?)(" .. words[at] .. ")", words[at + 2] == "case")
    if not good then error("the expression of a response body rule does not compile: " .. tostring(regex)) end
    prototype.rules[#prototype.rules + 1] = {
      regex = regex,
      anchored = words[at]:sub(1, 1) == "^",
      replacement = words[at + 1]:sub(2),
      only_on = words[at + 3],
      only_without = words[at + 4],
    }
  end
  return prototype
end)
