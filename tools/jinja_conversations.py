"""The conversations that tools/make_jinja_golden.py renders with every chat template."""

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather at a place, e.g. \"Köln\" <now>",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Name of the city"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "default": 3},
        "exact": {"type": "boolean", "default": False},
        "limit": {"type": "number", "maximum": 1.5e-7}},
        "required": ["city"]}}}
CLOCK = {"type": "function", "function": {
    "name": "get_time", "description": "", "parameters": {"type": "object", "properties": {}}}}


def system(text):
    return {"role": "system", "content": text}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def text(words):
    return {"type": "text", "text": words}


def call(name, arguments, **more):
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


CONVERSATIONS = {
    "user": [user("Hello!")],
    "system": [system("You are a helpful assistant."), user("Hi there")],
    "turns": [system("Be brief."), user("One?"), assistant("1"), user("Two?"), assistant("2"),
              user("Three?")],
    "no_system_turns": [user("a"), assistant("b"), user("c")],
    "ends_with_assistant": [user("Say a word"), assistant("word")],
    "spaces": [system("  padded\n\n"), user("\n\t lines \r\n and tabs\t\n"), assistant("  x  "),
               user(" ")],
    "unicode": [system("Tu es poli — «oui»"), user("Grüße, 世界! 👩‍👩‍👧 \u00a0\u2003 naïve é"),
                assistant("مرحبا"), user("ΑΒΓΣ ß ﬁ")],
    "special": [user("<|im_end|> {{ 7*7 }} {% if %} </think> \"quoted\" 'single' \\n & <b>")],
    "empty": [system(""), user(""), assistant(""), user("")],
    "late_system": [user("first"), system("now be formal"), user("second")],
    "think": [user("Why?"), assistant("<think>\nLet me see.\n</think>\n\nBecause."), user("And?")],
    "think_last": [user("Why?"), assistant("<think>\nHmm\n</think>\n\nBecause.\n")],
    "reasoning": [user("Why?"), assistant("Because.", reasoning_content="\nFirst,\nthen.\n"),
                  user("Go on"), assistant("So.", reasoning_content="More")],
    "tool_call": [user("Weather in Köln?"),
                  assistant("", tool_calls=[call("get_weather", {"city": "Köln", "days": 2,
                                                                 "exact": True, "x": None,
                                                                 "f": 2.0, "list": [1, "b"]})]),
                  {"role": "tool", "content": "{\"temp\": 21}"}, user("Thanks")],
    "tool_call_content": [user("Time?"),
                          assistant("Let me look.", tool_calls=[call("get_time", {})]),
                          {"role": "tool", "content": "12:30"}, assistant("Half past twelve.")],
    "two_calls": [user("Both"), assistant("", tool_calls=[
        call("get_time", {}), call("get_weather", "{\"city\": \"Rome\"}")]),
        {"role": "tool", "content": "12:30"}, {"role": "tool", "content": "sunny"}],
    "bare_call": [user("Go"), assistant("", tool_calls=[{"name": "get_time", "arguments": {}}]),
                  {"role": "ipython", "content": {"ok": True, "n": [1.0, 1e22]}}],
    "tool_list": [user("Go"), {"role": "tool", "content": ["a", {"b": 1}]}, user("ok")],
    "none": [],
    "parts": [{"role": "system", "content": [text("Be "), text("kind — 善")]},
              {"role": "user", "content": [text("What is this?"), {"type": "image"}, text("And?")]},
              {"role": "assistant", "content": [text("A cat.")]}, user("Sure?")],
    "media": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x.png"}},
                                           {"type": "audio"}, {"type": "video"}, text("Go")]}],
    "no_content": [user("Weather?"), assistant(None, tool_calls=[
        call("get_weather", {"city": "Zürich"}, id="call00001")]),
        {"role": "tool", "content": "12 °C", "tool_call_id": "call00001", "name": "get_weather"},
        assistant("Cold."), user("Danke")],
    "parallel": [user("Both, please"), assistant("", reasoning_content="Two tools.", tool_calls=[
        call("get_time", {}, id="abcdefghi"),
        call("get_weather", {"city": "O'Fallon \"x\" \\n", "days": 0, "exact": False},
             id="123456789")]),
        {"role": "tool", "content": [text("12:30")], "tool_call_id": "abcdefghi"},
        {"role": "tool", "content": "{\"t\": [1, 2.5, null]}", "tool_call_id": "123456789"}],
    "developer": [{"role": "developer", "content": "Formal."}, user("Hi"), assistant("Good day.")],
    "unknown_role": [user("a"), {"role": "critic", "content": "b"}, user("c")],
    "no_role": [{"content": "only content"}],
    "thinking": [user("Why?"), assistant("Because.", thinking="First.", reasoning="R."),
                 user("And?"), assistant("So.", thinking="Then.", reasoning="S.")],
}

CASES = []


def add(name, conversation, **more):
    CASES.append({"name": name, "variables": {"messages": CONVERSATIONS[conversation],
                                              "bos_token": "<s>", "eos_token": "</s>", **more}})


for key in CONVERSATIONS:
    add(key, key, add_generation_prompt=False)
for key in ("user", "turns", "unicode", "think", "think_last", "two_calls", "parts", "no_content",
            "parallel", "thinking"):
    add(key + "+prompt", key, add_generation_prompt=True)
for key in ("user", "system", "tool_call", "two_calls", "none", "parts", "no_content", "parallel"):
    add(key + "+tools", key, add_generation_prompt=True, tools=[WEATHER, CLOCK])
add("system+tools+apart", "system", tools=[WEATHER], tools_in_user_message=False)
add("user+no_thinking", "user", add_generation_prompt=True, enable_thinking=False)
add("user+thinking", "user", add_generation_prompt=True, enable_thinking=True)
add("user+date", "user", date_string="1 Jan 2000", add_generation_prompt=True)
add("user+no_tools", "user", tools=None, add_generation_prompt=True)
add("user+custom_tools", "user", custom_tools=[CLOCK])
add("tool_call+builtin", "tool_call", builtin_tools=["code_interpreter", "get_weather", "search"])
add("bare_call+builtin", "tool_call_content", builtin_tools=["code_interpreter", "brave"],
    tools=[CLOCK])
add("user+documents", "user", documents=[{"title": "A", "text": "first"}, {"title": "B — ü",
                                                                      "text": "second"}])
add("system+effort", "system", add_generation_prompt=True, reasoning_effort="high", thinking=True,
    today="2024-07-06", model_identity="You are M.")
add("parallel+keep", "parallel", add_generation_prompt=True, tools=[WEATHER, CLOCK],
    clear_thinking=False, preserve_thinking=True, keep_all_reasoning=True)
add("turns+functions", "turns", functions="[{\"name\": \"f\"}]", datetime="2024-07-06",
    add_generation_prompt=True)
add("two_calls+functions", "two_calls", functions="[]", datetime="now")
