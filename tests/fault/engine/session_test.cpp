// Sessions: what is loaded is what was saved, bit for bit; what is damaged, foreign or cut short is
// refused; a disk that fails leaves the file that was there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/session_file.h"
#include "platform/simulated/simulated_platform.h"
#include "support/engine_run.h"
#include "support/tiny_llama.h"

namespace spillway::test {
namespace {

using engine::SessionFile;
using formats::TokenId;
using ::testing::HasSubstr;

const std::string kSession = "session";

class Sessions : public ::testing::TestWithParam<DType> {
 protected:
  Sessions() {
    platform_->put_file("tiny", tiny_llama_file({}));
    // Another training of the same shape.
    platform_->put_file("other", tiny_llama_file({.seed = 2}));
    model_.emplace(engine::ModelFile::open(*platform_, "tiny").value());
    engine_ = load(*model_);
  }

  std::unique_ptr<engine::Engine> load(engine::ModelFile& model, size_t positions = 60) {
    const engine::Settings settings{.host_budget_bytes = kGiB, .kv = GetParam()};
    const auto shape = run_shape(model, *ops_, settings, {positions, 0});
    auto plan = plan_run(model, *ops_, settings, shape, machine_with_disk(2e9));
    return engine::Engine::load(context_, model, settings, *std::move(plan), {}).value();
  }

  std::vector<float> logits(engine::Engine& engine, TokenId id) {
    const auto values = engine.evaluate(std::span(&id, 1), 1).value();
    return {values.begin(), values.end()};
  }

  Result<void> save() {
    return save_session(*platform_, kSession, *model_, *engine_,
                        {.tokens = text_, .note = "a note"});
  }
  Result<SessionFile> open(const engine::ModelFile& model) {
    return SessionFile::open(*platform_, kSession, model, GetParam());
  }
  std::vector<std::byte> bytes(const std::string& path) {
    const auto file = platform_->open(path, {}).value();
    std::vector<std::byte> all(file->info().size_bytes);
    EXPECT_EQ(file->read(0, all).value(), all.size());
    return all;
  }
  // Opens and restores; the error, or empty.
  std::string refusal(engine::ModelFile& model) {
    auto session = open(model);
    const auto restored =
        session ? session->restore(*engine_) : tl::make_unexpected(session.error());
    if (!restored) {
      EXPECT_THAT(restored.error().code, ::testing::AnyOf(ErrorCode::kBadFile, ErrorCode::kUsage));
    }
    return restored ? "" : restored.error().message;
  }

  std::unique_ptr<platform::SimulatedPlatform> platform_ = platform::make_simulated_platform({});
  ThreadPool pool_{1};
  std::unique_ptr<ops::Ops> ops_ = ops::make_cpu_ops(pool_);
  memory::Budget budget_{memory::Tier::kHost, 4 * kGiB};
  engine::Context context_{*platform_, budget_, *ops_, nullptr};
  std::optional<engine::ModelFile> model_;
  std::unique_ptr<engine::Engine> engine_;
  // The last one has no keys and values yet.
  std::vector<TokenId> text_ = {1,  70, 104, 111, 112, 35, 120, 114, 117, 111, 103, 90,
                                80, 71, 72,  73,  74,  75, 76,  77,  78,  79,  80,  99};
};

TEST_P(Sessions, AreGoneOnWithBitForBit) {
  ASSERT_TRUE(engine_->evaluate(std::span(text_).first(text_.size() - 1), 0).has_value());
  ASSERT_TRUE(save().has_value());
  const std::vector<float> expected = logits(*engine_, text_.back());
  const auto fresh = load(*model_, 24);
  const auto session = open(*model_);
  ASSERT_TRUE(session.has_value()) << session.error().message;
  EXPECT_EQ(session->text().tokens, text_);
  EXPECT_EQ(session->text().note, "a note");
  EXPECT_EQ(session->positions(), text_.size() - 1);
  ASSERT_TRUE(session->restore(*fresh).has_value());
  EXPECT_EQ(fresh->position(), text_.size() - 1);
  EXPECT_EQ(logits(*fresh, text_.back()), expected);
  const auto small = load(*model_, 20);
  EXPECT_THAT(session->restore(*small).error().message, HasSubstr("context only 20"));
}

TEST_P(Sessions, EveryDamagedByteIsNoticed) {
  ASSERT_TRUE(engine_->evaluate(std::span(text_).first(3), 0).has_value());
  text_.resize(4);
  ASSERT_TRUE(save().has_value());
  const auto good = bytes(kSession);
  EXPECT_EQ(refusal(*model_), "");
  for (size_t at = 0; at < good.size(); at += at < 160 ? 1 : 97) {
    auto damaged = good;
    damaged[at] ^= std::byte{0x10};
    platform_->put_file(kSession, damaged);
    engine_->rewind(0);
    ASSERT_NE(refusal(*model_), "") << "byte " << at;
    ASSERT_EQ(engine_->position(), 0u);
  }
}

TEST_P(Sessions, CutShortForeignAndMissingOnesAreRefused) {
  ASSERT_TRUE(engine_->evaluate(std::span(text_).first(3), 0).has_value());
  ASSERT_TRUE(save().has_value());
  const auto good = bytes(kSession);
  for (const size_t size :
       {size_t{0}, size_t{7}, size_t{127}, size_t{128}, good.size() - 1, good.size() + 1}) {
    auto other = good;
    other.resize(size);
    platform_->put_file(kSession, other);
    EXPECT_NE(refusal(*model_), "") << size << " bytes";
  }
  platform_->put_file(kSession, bytes("tiny"));
  EXPECT_THAT(refusal(*model_), HasSubstr("no session"));
  platform_->put_file(kSession, good);
  engine::ModelFile other = engine::ModelFile::open(*platform_, "other").value();
  EXPECT_THAT(refusal(other), HasSubstr("another model"));
  const DType kv = GetParam() == DType::kF16 ? DType::kF32 : DType::kF16;
  EXPECT_THAT(SessionFile::open(*platform_, kSession, *model_, kv).error().message,
              HasSubstr("--kv"));
  EXPECT_EQ(SessionFile::open(*platform_, "none", *model_, kv).error().code, ErrorCode::kBadFile);
  auto newer = good;
  newer[8] = std::byte{2};
  platform_->put_file(kSession, newer);
  EXPECT_THAT(refusal(*model_), HasSubstr("version 2"));
}

TEST_P(Sessions, ADiskThatFailsLeavesTheFileThatWasThere) {
  ASSERT_TRUE(engine_->evaluate(std::span(text_).first(3), 0).has_value());
  ASSERT_TRUE(save().has_value());
  const auto before = bytes(kSession);
  ASSERT_TRUE(engine_->evaluate(std::span(text_).subspan(3, 2), 0).has_value());
  for (uint64_t n = 1;; ++n) {
    platform_->fail_operation(platform::Operation::kReplace, n, false);
    const auto saved = save();
    if (saved) {
      EXPECT_GT(n, 4u);
      break;
    }
    EXPECT_EQ(saved.error().code, ErrorCode::kMachine);
    EXPECT_EQ(bytes(kSession), before) << "failure " << n;
  }
  EXPECT_NE(bytes(kSession), before);
}

INSTANTIATE_TEST_SUITE_P(KeysAndValues, Sessions, ::testing::Values(DType::kF16, DType::kF32),
                         [](const auto& kv) { return std::string(dtype_info(kv.param).name); });

}  // namespace
}  // namespace spillway::test
