// Weights take their form step by step: between the steps each of them is found, in its old form or
// its new one.
#include "engine/weight_memory.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "memory/host_region.h"
#include "ops/interleaved.h"
#include "platform/simulated/simulated_platform.h"
#include "support/engine_run.h"
#include "support/tiny_llama.h"

namespace spillway::test {
namespace {

// The matrix's row as the file has it.
std::vector<std::byte> row_of(const engine::WeightMemory& memory, const model::Weight& weight,
                              size_t row) {
  std::vector<std::byte> bytes(row_bytes(weight.dtype, weight.columns));
  if (!memory.interleaved(weight.file_offset)) {
    std::memcpy(bytes.data(), memory.at(weight.file_offset + row * bytes.size()), bytes.size());
    return bytes;
  }
  const size_t group = round_down(row, ops::kInterleavedRows);
  ops::extract_row(weight.dtype, weight.columns,
                   memory.at(weight.file_offset + group * bytes.size()), row - group, bytes.data());
  return bytes;
}

enum class From {
  kDisk,        // the page cache has no room for the file
  kPromised,    // it has, but the engine has been promised that room for something else
  kUnmappable,  // it has, but the file cannot be mapped
  kOnCall,      // it has, and the file comes into it
  kBeside,      // it has, beside what the engine was promised and holds by now
  kCache        // the file lies there
};

struct Case {
  From from;
  bool tied;
};

class WeightsTakeForm : public ::testing::TestWithParam<Case> {
 protected:
  // Every row of every matrix, and of the embedding table.
  void expect_all_there(const engine::WeightMemory& memory, const model::Transformer& transformer) {
    std::vector<model::Weight> weights = transformer.weights();
    weights.push_back(transformer.embedding());
    for (const model::Weight& weight : weights) {
      ASSERT_TRUE(memory.resident(weight.file_offset, weight.size_bytes()));
      const size_t size = row_bytes(weight.dtype, weight.columns);
      for (size_t row = 0; row < weight.rows; ++row) {
        ASSERT_EQ(std::memcmp(row_of(memory, weight, row).data(),
                              file_.data() + weight.file_offset + row * size, size),
                  0)
            << weight.name << ", row " << row;
      }
    }
  }

  std::vector<std::byte> file_;
};

TEST_P(WeightsTakeForm, AndAreFoundBetweenSteps) {
  file_ = tiny_llama_file({.dtype = DType::kQ8_0, .tied = GetParam().tied, .layers = 3});
  const From from = GetParam().from;
  const uint64_t host_bytes = from == From::kDisk ? 2 * file_.size() : 16 * kGiB;
  const auto platform = platform::make_simulated_platform({.host_bytes = host_bytes});
  platform->put_file(kPath, file_);
  if (from == From::kUnmappable) platform->fail_operation(platform::Operation::kMap, 1, true);
  if (from == From::kCache) {
    const auto file = platform->open(kPath, {.caching = platform::Caching::kUse}).value();
    std::vector<std::byte> all(file_.size());
    ASSERT_TRUE(file->read(0, all).has_value());
  }
  ThreadPool pool(2);
  const auto ops = ops::make_cpu_ops(pool);
  auto model = engine::ModelFile::open(*platform, kPath, {}).value();
  if (!ops->prefers_interleaved(DType::kQ8_0, 64)) GTEST_SKIP() << "no kernels for that form here";
  const engine::Settings settings{.host_budget_bytes = kGiB, .threads = 2};
  const auto run = engine::plan_run(model, *ops, settings,
                                    engine::run_shape(model, *ops, settings, {8, 8, true}),
                                    machine_with_disk(2e9))
                       .value();
  memory::Budget budget(memory::Tier::kHost, 16 * kGiB);
  const uint64_t promised = from == From::kPromised ? 16 * kGiB - 2 * file_.size() : 0;
  const auto promise = budget.reserve(promised, memory::Tag::kKv, "positions").value();
  const uint64_t held = from == From::kBeside ? 10 * kGiB : platform->page_bytes();
  const auto region =
      memory::HostRegion::create(*platform, budget, memory::Tag::kKv, "held", held).value();
  ASSERT_TRUE(region->make_resident(0, held).has_value());
  const engine::Context context{*platform, budget, *ops, nullptr};
  {
    auto memory = engine::WeightMemory::load(context, model, run.plan, {}).value();
    ASSERT_TRUE(memory.finish_loading().has_value());
    EXPECT_EQ(memory.mapped(),
              from == From::kOnCall || from == From::kBeside || from == From::kCache);
    const uint64_t charged = budget.usage().bytes;
    size_t steps = 0;
    for (; !memory.has_form(); ++steps) {
      expect_all_there(memory, model.transformer);
      memory.take_form(*ops, 1);
    }
    expect_all_there(memory, model.transformer);
    size_t forms = 0;
    for (const model::Weight& weight : model.transformer.weights()) {
      const bool prefers = ops->prefers_interleaved(weight.dtype, weight.rows);
      EXPECT_EQ(memory.interleaved(weight.file_offset), prefers) << weight.name;
      if (prefers) ++forms;
    }
    EXPECT_GE(steps, forms);
    EXPECT_GE(forms, 3 * 7u);  // of three layers
    memory.take_form(*ops);
    EXPECT_EQ(budget.usage().peak_bytes, charged);
  }
  EXPECT_EQ(budget.usage().bytes, promised + held);
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  const std::array<std::string, 6> names = {"Read",   "Promised", "Unmappable",
                                            "Called", "Beside",   "Cached"};
  return names[static_cast<size_t>(info.param.from)] + (info.param.tied ? "Tied" : "Untied");
}

INSTANTIATE_TEST_SUITE_P(Files, WeightsTakeForm,
                         ::testing::Values(Case{From::kDisk, false}, Case{From::kDisk, true},
                                           Case{From::kPromised, false},
                                           Case{From::kUnmappable, false},
                                           Case{From::kBeside, false}, Case{From::kOnCall, false},
                                           Case{From::kOnCall, true}, Case{From::kCache, false},
                                           Case{From::kCache, true}),
                         case_name);

}  // namespace
}  // namespace spillway::test
