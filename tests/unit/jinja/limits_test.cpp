// What a hostile template must not do: run on, nest deep, or fill memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "formats/jinja.h"

namespace spillway::formats {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

Result<std::string> render(std::string_view source, JinjaLimits limits = {},
                           const ordered_json& variables = ordered_json::object()) {
  auto parsed = JinjaTemplate::parse(source, limits);
  if (!parsed) return tl::make_unexpected(parsed.error());
  return parsed->render(variables, std::tm{});
}

void expect_refused(std::string_view source, const char* why, JinjaLimits limits = {}) {
  const auto text = render(source, limits);
  ASSERT_FALSE(text.has_value()) << source.substr(0, 200);
  EXPECT_EQ(text.error().code, ErrorCode::kBadFile);
  EXPECT_THAT(text.error().message, HasSubstr(why)) << source.substr(0, 200);
}

std::string repeated(std::string_view text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

TEST(JinjaLimits, BoundTheSource) {
  expect_refused("12345", "5 bytes", {.source_bytes = 4});
  EXPECT_EQ(render("1234", {.source_bytes = 4}).value(), "1234");
}

TEST(JinjaLimits, BoundStepsOfLoops) {
  expect_refused(
      "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}"
      "{% endfor %}{% endfor %}{% endfor %}",
      "steps", {.steps = 100'000});
}

TEST(JinjaLimits, BoundStepsOfWorkInsideOneOperation) {
  const JinjaLimits limits{.steps = 100'000};
  // A thousand rounds of little work pass, so that it is the work that is refused below.
  const std::string rounds =
      "{% set x = 'a' * 99999 %}{% set l = [1, 2] * 2000 %}{% set d = dict(m=l) %}"
      "{% for i in range(1000) %}{% set y = @ %}{% endfor %}";
  const auto with = [&](std::string_view work) {
    std::string source = rounds;
    return source.replace(source.find('@'), 1, work);
  };
  EXPECT_TRUE(render(with("1"), limits).has_value());
  for (const char* work : {"x in x",
                           "x == x ~ ''",
                           "x | upper",
                           "x.strip('a')",
                           "x.strip()",
                           "x.count('ab')",
                           "x.isupper()",
                           "x.endswith('b')",
                           "x.find('ab')",
                           "x.startswith('b', 1)",
                           "x.title()",
                           "x.splitlines()",
                           "x | length",
                           "x[-1]",
                           "x[::2]",
                           "l | sort",
                           "9 in l",
                           "l == l[:]",
                           "l | join",
                           "l | sum",
                           "l | unique | list",
                           "l.count(5)",
                           "l.copy()",
                           "l + l",
                           "l | map('e')",
                           "x | replace('z', '')",
                           "x.replace('', '')",
                           "x.split('b')",
                           "x.rsplit('b')",
                           "x ~ 1",
                           "x % ()",
                           "x.format()",
                           "x < x",
                           "x | int",
                           "x | tojson",
                           "x | e",
                           "x | indent",
                           "x | title",
                           "x * 2",
                           "l * 2",
                           "d.m | list",
                           "x | list",
                           "x is upper",
                           "x | center(5)"}) {
    expect_refused(with(work), "steps", limits);
  }
}

TEST(JinjaLimits, BoundTheNestingOfTheSource) {
  for (const auto& [open, close] : std::vector<std::pair<std::string, std::string>>{
           {"{{ " + repeated("(", 100'000), ""},
           {"{{ " + repeated("[", 1000) + repeated("]", 1000), "}}"},
           {"{{ " + repeated("not ", 100'000), "1 }}"},
           {"{{ " + repeated("-", 1000) + " 1", "}}"},
           {"{{ 1" + repeated(" + 1", 100'000), "}}"},
           {"{{ x" + repeated(".x", 100'000), "}}"},
           {"{{ x" + repeated("()", 100'000), "}}"},
           {"{{ x" + repeated("|e", 100'000), "}}"},
           {"{{ x" + repeated(" if x", 100'000), "}}"},
           {"{{ x" + repeated(" if x else x", 100'000), "}}"},
           {"{% set " + repeated("(", 1000) + "x" + repeated(")", 1000), "= 1 %}"},
           {repeated("{% if x %}", 10'000), ""},
           {repeated("{% set x %}", 10'000), ""},
           {repeated("{% macro x() %}", 10'000), ""}}) {
    const auto parsed = JinjaTemplate::parse(open + close);
    ASSERT_FALSE(parsed.has_value()) << open.substr(0, 40);
    EXPECT_EQ(parsed.error().code, ErrorCode::kBadFile);
  }
  EXPECT_EQ(render("{{ 1" + repeated(" + 1", 150) + " }}").value(), "151");
  EXPECT_TRUE(render(repeated("{% if true %}", 150) + repeated("{% endif %}", 150)).has_value());
  EXPECT_TRUE(render("{% if x %}" + repeated("{% elif x %}", 10'000) + "{% endif %}").has_value());
}

TEST(JinjaLimits, BoundRecursion) {
  expect_refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "levels deep");
  expect_refused(
      "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
      "levels deep");
  expect_refused("{% macro m(f) %}{{ f(f) }}{% endmacro %}{{ m(m) }}", "levels deep");
  expect_refused("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "levels deep");
  expect_refused(
      "{% macro m() %}{% call m() %}{{ caller }}{% endcall %}{{ caller }}{% endmacro %}"
      "{% call m() %}{% endcall %}",
      "levels deep");
  EXPECT_EQ(render("{% macro m(n) %}{{ n }}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}"
                   "{{ m(100) | length }}")
                .value(),
            "193");
}

TEST(JinjaLimits, BoundTheDepthOfValues) {
  expect_refused(
      "{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}"
      "{% endfor %}{{ ns.x }}",
      "nests lists");
  expect_refused(
      "{% set ns = namespace(x={}) %}{% for i in range(1000) %}{% set ns.x = {1: ns.x} %}"
      "{% endfor %}",
      "nests dictionaries");
  ordered_json deep = 1;
  for (int i = 0; i < 10'000; ++i) deep = ordered_json::array({std::move(deep)});
  const auto text = render("{{ x }}", {}, {{"x", std::move(deep)}});
  ASSERT_FALSE(text.has_value());
  EXPECT_THAT(text.error().message, HasSubstr("variable 'x'"));
}

TEST(JinjaLimits, CountSharedStructureEachTimeItIsWalked) {
  const std::string build =
      "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
      "{% endfor %}{% set ns.y = [ns.x[0], ns.x[1]] %}";
  for (const char* walk : {"{{ ns.x }}", "{{ ns.x | tojson }}", "{{ ns.x | string | length }}"}) {
    const auto text = render(build + walk, {.steps = 200'000});
    ASSERT_FALSE(text.has_value()) << walk;
    EXPECT_EQ(text.error().code, ErrorCode::kBadFile);
  }
}

TEST(JinjaLimits, BoundTheOutput) {
  const JinjaLimits limits{.output_bytes = 1000};
  expect_refused("{% for i in range(100) %}{{ '12345678901' }}{% endfor %}", "1000 bytes", limits);
  expect_refused("{% set x %}{% for i in range(100) %}{{ '12345678901' }}{% endfor %}{% endset %}",
                 "1000 bytes", limits);
  expect_refused("{{ 'a' * 1001 }}", "1000 bytes", limits);
  EXPECT_EQ(render("{{ 'a' * 1000 }}", limits).value().size(), 1000u);
}

TEST(JinjaLimits, BoundEveryStringOnTheWay) {
  for (const char* bomb : {"'a' * 9999999999999",
                           "999999999999 * 'a'",
                           "[0] * 99999999999",
                           "'a' | center(99999999999)",
                           "'a'.ljust(99999999999)",
                           "'%99999999999d' % 1",
                           "'%.99999999999s' % 'a'",
                           "'%.999f' % 1",
                           "[1] | tojson(indent=99999999999)",
                           "'a' | indent(99999999999)",
                           "('a' * 1000000) | replace('a', 'b' * 1000000)",
                           "('b' * 1000000).replace('', 'b' * 1000)",
                           "('a' * 9000) | join('b' * 100000)",
                           "('b' * 1000000).join('a' * 1000)",
                           "range(999999999)",
                           "9999999999 ** 9999999",
                           "9 ** 99",
                           "[1] | batch(9999999999, 0) | list",
                           "[1] | slice(9999999999) | list",
                           "strftime_now('%99999999d')",
                           "'a'.rjust(9999999999)",
                           "9223372036854775807 + 1",
                           "-9223372036854775807 - 2",
                           "99999999999999999999"}) {
    const auto text = render(fmt::format("{{{{ {} }}}}", bomb), {.output_bytes = 1 << 20});
    ASSERT_FALSE(text.has_value()) << bomb;
    EXPECT_EQ(text.error().code, ErrorCode::kBadFile) << bomb;
  }
}

TEST(JinjaLimits, BoundAllStringsTogether) {
  expect_refused(
      "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}"
      "{% set ns.l = ns.l + ['a' * 10000] %}{% endfor %}",
      "in all", {.output_bytes = 1 << 20});
}

TEST(JinjaLimits, LeaveRoomForLongConversations) {
  ordered_json messages = ordered_json::array();
  for (int i = 0; i < 10'000; ++i)
    messages.push_back({{"role", i % 2 == 0 ? "user" : "assistant"}, {"content", "Some words."}});
  const auto text = render(
      "{% for m in messages[::-1] %}{% set index = (messages | length - 1) - loop.index0 %}"
      "{% if m.role == 'user' and messages[index].content.startswith('Some') %}{{ m.content }}"
      "{% elif '<think>' in m.content %}?{% endif %}{{ m.get('x', '') }}{{ (messages | "
      "last).role[0] }}"
      "{% endfor %}",
      {}, {{"messages", std::move(messages)}});
  ASSERT_TRUE(text.has_value()) << text.error().message;
  EXPECT_EQ(text->size(), 5'000u * 11 + 10'000);
}

TEST(JinjaErrors, NameTheLine) {
  const auto parsed = JinjaTemplate::parse("a\nb\n{{ 1 +\n }}");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().message, "line 4: expected an expression, found '}}'");
  EXPECT_EQ(render("\n\n{% if true %}\n{{ nope.x }}{% endif %}").error().message,
            "line 4: 'nope' is undefined");
}

TEST(JinjaErrors, LeaveWhatTheTemplateRaisesAsItIs) {
  const auto text = render("\n{{ raise_exception('Only {users}!') }}");
  ASSERT_FALSE(text.has_value());
  EXPECT_EQ(text.error().code, ErrorCode::kUsage);
  EXPECT_EQ(text.error().message, "Only {users}!");
}

TEST(JinjaValues, OutliveTheLoopsAndScopesTheyComeFrom) {
  EXPECT_EQ(render("{% set ns = namespace() %}{% for i in [1, 2] %}{% set ns.l = loop %}"
                   "{% set k = i * 10 %}{% macro m() %}{{ i + k }}{% endmacro %}{% set ns.m = m %}"
                   "{% endfor %}{{ ns.l.index }}{{ ns.l.last }}{{ ns.m() }}")
                .value(),
            "2True22");
  EXPECT_EQ(
      render("{% set ns = namespace() %}{% for i in [[1], [2]] recursive %}{% set ns.l = loop %}"
             "{{ i }}{% endfor %}{{ ns.l([3]) }}")
          .value(),
      "[1][2]3");
}

TEST(JinjaValues, MayHoldThemselves) {
  EXPECT_EQ(
      render("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is defined }}").value(),
      "True");
  EXPECT_TRUE(render("{% for i in [1] %}{{ loop.changed(loop) }}{{ loop.changed(loop.changed) }}"
                     "{% endfor %}")
                  .has_value());
}

TEST(JinjaVariables, MustBeAnObject) {
  auto parsed = JinjaTemplate::parse("{{ x }}");
  EXPECT_FALSE(parsed->render(ordered_json::array(), std::tm{}).has_value());
  EXPECT_EQ(parsed->render({{"x", 5}, {"unused", 6}}, std::tm{}).value(), "5");
  EXPECT_FALSE(parsed->render({{"x", UINT64_MAX}}, std::tm{}).has_value());
}

}  // namespace
}  // namespace spillway::formats
