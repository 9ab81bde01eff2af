// What ends a run besides faults: a file that gets shorter, the user, a full context, an end token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "platform/simulated/simulated_platform.h"
#include "support/engine_run.h"
#include "support/tiny_llama.h"

namespace spillway::test {
namespace {

using engine::StopReason;
using ::testing::HasSubstr;

class Endings : public ::testing::Test {
 protected:
  Endings() {
    platform_->put_file(kPath, file_);
    range_ = budget_range(*platform_, kPath, {});
  }
  Outcome run(uint64_t budget, const Request& request) {
    Outcome outcome = run_model(*platform_, kPath, budget, request);
    EXPECT_EQ(outcome.held_bytes, 0u);
    EXPECT_EQ(platform_->committed_bytes(), 0u);
    return outcome;
  }
  void truncate(size_t size) {
    auto shorter = file_;
    shorter.resize(size);
    platform_->put_file(kPath, shorter);
  }
  static void expect_error(const Outcome& outcome, ErrorCode code, const char* part) {
    ASSERT_TRUE(outcome.error.has_value());
    EXPECT_EQ(outcome.error->code, code);
    EXPECT_THAT(outcome.error->message, HasSubstr(part));
  }

  std::vector<std::byte> file_ = tiny_llama_file({});
  std::unique_ptr<platform::SimulatedPlatform> platform_ = platform::make_simulated_platform({});
  BudgetRange range_;
};

TEST_F(Endings, AFileTruncatedBetweenTokensIsABadFile) {
  for (const size_t left : {size_t{0}, size_t{20000}, file_.size() / 2, file_.size() - 20000}) {
    SCOPED_TRACE(::testing::Message() << left << " bytes left");
    platform_->put_file(kPath, file_);
    Request request;
    request.on_token = [&](size_t tokens) {
      if (tokens == 2) truncate(left);
    };
    expect_error(run(range_.least, request), ErrorCode::kBadFile, "truncated");
  }
}

TEST_F(Endings, AFileTruncatedBeforeLoadingIsABadFile) {
  for (const uint64_t budget : {range_.least, range_.all, range_.all + kMiB}) {
    for (const size_t left : {size_t{0}, file_.size() / 2, file_.size() - 20000}) {
      SCOPED_TRACE(::testing::Message() << left << " bytes left, budget " << budget);
      platform_->put_file(kPath, file_);
      Request request;
      request.before_load = [&] { truncate(left); };
      expect_error(run(budget, request), ErrorCode::kBadFile, kPath.c_str());
    }
  }
}

// All matrices stay, but there is no room for the embedding table: its rows come one by one.
TEST_F(Endings, AnEmbeddingRowThatIsGoneIsABadFile) {
  Request request;
  request.on_token = [&](size_t tokens) {
    if (tokens == 2) truncate(0);
  };
  const Outcome outcome = run(range_.all - 1, request);
  ASSERT_TRUE(outcome.plan->cycle.empty());
  ASSERT_FALSE(outcome.plan->embedding_resident);
  expect_error(outcome, ErrorCode::kBadFile, "token_embd.weight");
}

TEST_F(Endings, AResidentModelDoesNotMissItsFile) {
  Request request;
  const Outcome reference = run(range_.all, request);
  request.on_token = [&](size_t) { truncate(0); };
  const Outcome outcome = run(range_.all, request);
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
  EXPECT_EQ(outcome.ids, reference.ids);
}

TEST_F(Endings, AStopBeforeTheFirstTokenIsAnInterruption) {
  const std::atomic<bool> stop = true;
  for (const uint64_t budget : {range_.least, range_.all}) {
    Request request;
    request.stop = &stop;
    expect_error(run(budget, request), ErrorCode::kInterrupted, "interrupted");
  }
}

TEST_F(Endings, AStopWhileLoadingIsAnInterruption) {
  Request request;
  uint64_t calls = 0;
  request.progress = [&](uint64_t done, uint64_t total) {
    EXPECT_LE(done, total);
    ++calls;
    return false;
  };
  expect_error(run(range_.all, request), ErrorCode::kInterrupted, "loading");
  EXPECT_EQ(calls, 1u);
}

TEST_F(Endings, AStopLaterIsAReason) {
  for (const uint64_t budget : {range_.least, range_.all}) {
    const Outcome reference = run(budget, {});
    std::atomic<bool> stop = false;
    Request request;
    request.stop = &stop;
    request.on_token = [&](size_t tokens) { stop = tokens == 3; };
    const Outcome outcome = run(budget, request);
    ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
    EXPECT_EQ(outcome.reason, StopReason::kInterrupted);
    EXPECT_EQ(outcome.passes, 2u);
    ASSERT_EQ(outcome.ids.size(), 3u);
    EXPECT_TRUE(std::equal(outcome.ids.begin(), outcome.ids.end(), reference.ids.begin()));
  }
}

TEST_F(Endings, AFullContextIsAReason) {
  Request request;
  const size_t prompt = request.prompt.size();
  for (const size_t room : {0u, 1u, 4u}) {
    request.context = prompt + room;
    const Outcome outcome = run(range_.least, request);
    ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
    EXPECT_EQ(outcome.reason, StopReason::kContextFull);
    EXPECT_EQ(outcome.ids.size(), room + 1);
    EXPECT_EQ(outcome.passes, room);
  }
  request.context = prompt + request.max_tokens;
  EXPECT_EQ(run(range_.least, request).reason, StopReason::kLength);
}

TEST_F(Endings, AnEndTokenIsAReason) {
  const Outcome reference = run(range_.all, {});
  ASSERT_EQ(reference.ids.size(), 6u);
  const auto first = std::find(reference.ids.begin(), reference.ids.end(), reference.ids[2]);
  const size_t until_end = static_cast<size_t>(first - reference.ids.begin()) + 1;
  platform_->put_file(kPath, tiny_llama_file({.eos = reference.ids[2]}));
  Request request;
  size_t passed_on = 0;
  request.on_token = [&](size_t tokens) { passed_on = tokens; };
  EXPECT_EQ(run(range_.all + kMiB, request).ids, reference.ids) << "ends are ignored";
  request.ignore_end = false;
  passed_on = 0;
  const Outcome outcome = run(range_.all + kMiB, request);
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
  EXPECT_EQ(outcome.reason, StopReason::kEndToken);
  EXPECT_EQ(outcome.ids.size(), until_end) << "the end token included";
  EXPECT_EQ(passed_on, until_end - 1) << "but not passed on";
}

TEST_F(Endings, OneTokenTakesNoPassOfDecoding) {
  Request request;
  request.max_tokens = 1;
  const Outcome outcome = run(kGiB, request);
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->message;
  EXPECT_EQ(outcome.ids.size(), 1u);
  EXPECT_EQ(outcome.passes, 0u);
  EXPECT_EQ(outcome.reason, StopReason::kLength);
}

TEST_F(Endings, ABrokenModelFileIsABadFile) {
  const auto refused = [&](std::vector<std::byte> bytes) {
    platform_->put_file(kPath, std::move(bytes));
    const auto model = engine::ModelFile::open(*platform_, kPath);
    ASSERT_FALSE(model.has_value());
    EXPECT_EQ(model.error().code, ErrorCode::kBadFile);
    EXPECT_TRUE(model.error().message.starts_with(kPath + ": "));
  };
  refused({});
  refused(std::vector<std::byte>(4096));
  auto shorter = file_;
  shorter.resize(file_.size() / 2);
  refused(shorter);
  const auto missing = engine::ModelFile::open(*platform_, "nowhere");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kBadFile);
}

// Wherever the pass is when the user stops it, with weights that stream: the next one finds them
// all.
TEST_F(Endings, AnInterruptedPassLeavesTheSequenceAsItWas) {
  ThreadPool pool(1);
  const auto ops = ops::make_cpu_ops(pool);
  auto model = engine::ModelFile::open(*platform_, kPath).value();
  memory::Budget budget(memory::Tier::kHost, kGiB);
  std::atomic<bool> stop = false;
  const engine::Context context{*platform_, budget, *ops, &stop};
  const engine::Settings settings{.host_budget_bytes = range_.least + 4096};
  const auto shape = run_shape(model, *ops, settings, {8, 8});
  auto plan = plan_run(model, *ops, settings, shape, machine_with_disk(2e9));
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  ASSERT_FALSE(plan->plan.cycle.empty());
  const auto engine = engine::Engine::load(context, model, settings, *std::move(plan), {}).value();
  const std::vector<formats::TokenId> ids = {1, 70, 104};
  const auto evaluate = [&]() -> std::vector<float> {
    const auto logits = engine->evaluate(ids, 1);
    if (!logits) {
      EXPECT_EQ(logits.error().code, ErrorCode::kInterrupted) << logits.error().message;
      EXPECT_EQ(engine->position(), 0u);
      return {};
    }
    engine->rewind(0);
    return {logits->begin(), logits->end()};
  };
  const std::vector<float> expected = evaluate();
  ASSERT_FALSE(expected.empty());
  for (int round = 0; round < 40; ++round) {
    std::jthread user([&] {
      for (int i = 0; i < 500 * round; ++i) stop.load();
      stop = true;
    });
    evaluate();
    user.join();
    EXPECT_TRUE(evaluate().empty()) << "stopped before the first weight";
    stop = false;
    ASSERT_EQ(evaluate(), expected) << "round " << round;
  }
}

}  // namespace
}  // namespace spillway::test
