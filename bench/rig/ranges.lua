-- wrk script: sends the requests that a file lists, in this order, repeatedly.
-- arguments: FILE (one request per line: PATH, or PATH FIRST LAST), FROM (how many lines to skip at first)
local requests, at = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local path, first, last = line:match("^(%S+) (%d+) (%d+)$")
    local headers = path and { Range = string.format("bytes=%s-%s", first, last) }
    requests[#requests + 1] = wrk.format("GET", path or line, headers)
  end
  at = tonumber(args[2])
end

function request()
  at = at + 1
  return requests[(at - 1) % #requests + 1]
end

function done(summary)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"bytes":%d,"microseconds":%d,"failed":%d}\n', summary.requests, summary.bytes,
    summary.duration, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
