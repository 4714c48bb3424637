-- Replaces what matches a regular expression in the bodies of answers, as they pass. One filter a content rule; its words
-- are the expression, the replacement after a `=` (\0 to \9 stand for groups), "case" or "any-case", the flag that has to
-- be set and the one that must not be (0 for none).
--
-- At most HELD bytes wait for more of the body, so a match may be that long when it is spread over two reads. What
-- matches at the very end of what has come waits too, for the match may go on.
local HELD = 1024
local GATHERED = 8192
--: types of text; a stream of events would wait for its next event to get the last one out
local TEXTUAL = { "^text/", "json", "xml", "javascript", "x%-www%-form%-urlencoded" }
local STREAMED = "^text/event%-stream"

-- HAProxy before 2.8 does not come back to a filter that has left data of an ended body, unless it is woken. Newer ones
-- do, and waking them is not safe (2.8.25 aborts when it is done in the middle of a body).
local must_be_woken = core.get_info()["Version"]:match("^2%.[0-7]%.") ~= nil

local Replacement = { id = "replace_in_body", flags = filter.FLT_CFG_FL_HTX }
Replacement.__index = Replacement

function Replacement:new()
  return setmetatable({ active = false }, { __index = self })
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

local function wanted(self, txn)
  if self.only_on ~= "0" and not txn:get_var("txn.flag" .. self.only_on) then return false end
  return self.only_without == "0" or not txn:get_var("txn.flag" .. self.only_without)
end

function Replacement:http_headers(txn, message)
  if not message.channel:is_resp() then return end
  local line, headers = message:get_stline(), message:get_headers()
  local code = tonumber(line.code)
  -- an answer of HTTP/1.0 has no chunks: its length could not be corrected
  local whole = line.version ~= "HTTP/1.0" and code ~= 206 and code ~= 204 and code ~= 304 and code >= 200
  local plain = (first(headers, "content-encoding") or "identity") == "identity"
  self.active = whole and plain and is_text(headers) and wanted(self, txn)
  if not self.active then return end
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

function Replacement:http_payload(txn, message)
  if not self.active or not message.channel:is_resp() then return end
  local done, ended = 0, message:eom()
  while done < message:input() do
    local text = message:body(done)
    local found, groups = self.regex:match(text)
    if not found then
      done = done + #text - (ended and 0 or math.min(#text, HELD))
      break
    end
    local before, matched = #groups[2], #groups[3]
    if not ended and before + matched == #text and #text < GATHERED then
      done = done + before
      break
    end
    if matched == 0 then
      -- nothing is there to be replaced; one byte on, so that there is an end to it
      done = done + before + 1
    else
      local by = expanded(self.replacement, groups)
      if #by > 0 and message:insert(by, done + before) < 0 then
        -- no room before what is ready has been sent
        done = done + before
        if ended and must_be_woken then filter.wake_time(1) end
        break
      end
      message:remove(done + before + #by, matched)
      done = done + before + #by
    end
  end
  return done
end

core.register_filter("replace_in_body", Replacement, function(prototype, words)
  local good, regex = Regex.new("^([\\s\\S]*?)(" .. words[1] .. ")", words[3] == "case")
  if not good then error("the expression of a response body rule does not compile: " .. tostring(regex)) end
  prototype.regex, prototype.replacement = regex, words[2]:sub(2)
  prototype.only_on, prototype.only_without = words[4], words[5]
  return prototype
end)
