-- Sends the requests of a plan (see bench/plans.py), and prints the result as one line.
-- A plan has shapes, an order in which they take turns, tokens, and a first number. The parts of a
-- shape are texts, and 1 for the next value, 2 for the next number, 3 for the next token.

local plan, turn, number, token

function init(args)
  plan = dofile(args[1])
  turn, number, token = 0, plan.start, plan.first_token
  for _, shape in ipairs(plan.shapes) do
    shape.at = shape.first_value
  end
end

function request()
  turn = turn % #plan.order + 1
  local shape = plan.shapes[plan.order[turn]]
  local sent = {}
  for place, part in ipairs(shape.parts) do
    if part == 1 then
      shape.at = shape.at % #shape.values + 1
      sent[place] = shape.values[shape.at]
    elseif part == 2 then
      number = number + 1
      sent[place] = string.format("%016d", number)
    elseif part == 3 then
      token = token % #plan.tokens + 1
      sent[place] = plan.tokens[token]
    else
      sent[place] = part
    end
  end
  return table.concat(sent)
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status, failed))
end
