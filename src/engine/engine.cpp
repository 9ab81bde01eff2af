#include "engine/engine.h"

#include <algorithm>

#include "base/check.h"
#include "engine/embedding_reader.h"
#include "engine/kv_cache.h"
#include "engine/streamed_weights.h"

namespace spillway::engine {

Traffic operator-(const Traffic& a, const Traffic& b) {
  return {a.disk_bytes - b.disk_bytes, a.host_bytes - b.host_bytes, a.wait_seconds - b.wait_seconds,
          a.loading_seconds - b.loading_seconds};
}

// Members are destroyed in reverse: the ring waits for its reads before the memory goes.
struct Engine::Parts {
  Context context;
  const ModelFile& model;
  RunPlan run;
  model::KvLayout kv_layout;
  memory::Reservation fixed_charges[3];
  WeightMemory memory;
  KvCache kv;
  std::unique_ptr<memory::HostRegion> activation_block;
  model::Activations activations;
  EmbeddingReader embedding;
  std::unique_ptr<memory::StagingRing> ring;
  std::unique_ptr<StreamedWeights> weights;
};

namespace {

// Norms and RoPE factors: small, always resident, as floats.
Result<void> read_small_tensors(const platform::File& file, ops::Ops& ops,
                                std::vector<model::SmallTensor>& tensors) {
  for (model::SmallTensor& tensor : tensors) {
    if (!tensor.values.empty()) continue;  // known without the file
    tensor.values.resize(tensor.size);
    std::vector<std::byte> stored(row_bytes(tensor.dtype, tensor.size));
    SPILLWAY_ASSIGN(const size_t read, file.read(tensor.file_offset, stored));
    if (read < stored.size()) {
      return fail(ErrorCode::kBadFile, "{}: {} lies past the end. Was the file truncated?",
                  file.info().path, tensor.name);
    }
    ops.dequantise_row(tensor.dtype, stored.data(), tensor.values);
    for (float& value : tensor.values) value += tensor.offset;
  }
  return {};
}

Result<memory::Reservation> reserve_planned(memory::Budget& budget, const placement::Plan& plan,
                                            memory::Tag tag, std::string_view name) {
  const auto planned =
      std::find_if(plan.charges.begin(), plan.charges.end(),
                   [&](const auto& charge) { return charge.tag == tag && charge.name == name; });
  SPILLWAY_CHECK(planned != plan.charges.end());
  return budget.reserve(planned->bytes, tag, name);
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::load(const Context& context, ModelFile& model,
                                             const Settings& settings, RunPlan run,
                                             const Progress& progress) {
  using memory::Tag;
  platform::Platform& platform = context.platform;
  memory::Budget& budget = context.budget;
  const model::ModelConfig& config = model.transformer.config();
  const RunShape& shape = run.shape;
  const placement::Plan& plan = run.plan;

  SPILLWAY_ASSIGN(auto program, reserve_planned(budget, plan, Tag::kOther, kProgramCharge));
  SPILLWAY_ASSIGN(auto header,
                  budget.reserve(model.header_bytes, Tag::kVocabulary, "tokenizer and header"));
  SPILLWAY_ASSIGN(auto norms, reserve_planned(budget, plan, Tag::kWeights, kNormsCharge));
  SPILLWAY_TRY(read_small_tensors(*model.file, context.ops, model.transformer.small_tensors()));

  const size_t bytes =
      model::Activations::size_bytes(config, context.ops, shape.chunk, shape.outputs);
  SPILLWAY_ASSIGN(auto block, memory::HostRegion::create(
                                  platform, budget, Tag::kActivations,
                                  fmt::format("a pass of {} tokens", shape.chunk), bytes));
  SPILLWAY_TRY(block->make_resident(0, bytes));
  const auto layout = model::KvLayout::of(config, settings.kv, kKvBlockTokens);
  SPILLWAY_ASSIGN(auto kv, KvCache::create(platform, budget, layout, shape.positions));
  SPILLWAY_ASSIGN(auto embedding, EmbeddingReader::create(platform, budget, *model.file,
                                                          model.transformer.embedding()));
  SPILLWAY_ASSIGN(auto memory, WeightMemory::load(context, model, plan, progress));
  std::unique_ptr<memory::StagingRing> ring;
  if (!plan.cycle.empty()) {
    SPILLWAY_ASSIGN(
        ring, memory::StagingRing::create(platform, budget, *model.file, plan.cycle, plan.staging));
  }
  const model::Activations activations(config, context.ops, shape.chunk, shape.outputs,
                                       block->bytes().first(bytes));
  auto parts = std::make_unique<Parts>(
      Parts{.context = context,
            .model = model,
            .run = std::move(run),
            .kv_layout = layout,
            .fixed_charges = {std::move(program), std::move(header), std::move(norms)},
            .memory = std::move(memory),
            .kv = std::move(kv),
            .activation_block = std::move(block),
            .activations = activations,
            .embedding = std::move(embedding),
            .ring = std::move(ring),
            .weights = nullptr});
  parts->weights = std::make_unique<StreamedWeights>(
      StreamedWeights::Parts{.weights = model.transformer.weights(),
                             .plan = parts->run.plan,
                             .memory = parts->memory,
                             .ring = parts->ring.get(),
                             .embedding = parts->embedding,
                             .ops = context.ops,
                             .prepared = parts->activations.prepared,
                             .stop = context.stop});
  return std::unique_ptr<Engine>(new Engine(std::move(parts)));
}

Engine::Engine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Engine::~Engine() = default;

Result<std::span<const float>> Engine::evaluate(std::span<const formats::TokenId> ids,
                                                size_t outputs) {
  Parts& p = *parts_;
  SPILLWAY_CHECK(!ids.empty() && ids.size() <= p.run.shape.chunk &&
                 outputs <= p.run.shape.outputs && outputs <= ids.size());
  SPILLWAY_CHECK(position() + ids.size() <= p.kv.positions());
  if (ids.size() == 1 && !p.memory.loading()) p.memory.take_form(p.context.ops);
  const model::Batch batch{.ids = ids, .first_position = position(), .outputs = outputs};
  const model::KvBlocks kv{p.kv_layout, p.kv.blocks()};
  SPILLWAY_TRY(p.model.transformer.forward(batch, kv, p.context.ops, *p.weights, p.activations));
  SPILLWAY_TRY(p.memory.finish_loading());
  tokens_.insert(tokens_.end(), ids.begin(), ids.end());
  return std::span<const float>(p.activations.logits)
      .first(outputs * p.model.transformer.config().vocabulary);
}

void Engine::rewind(size_t tokens) {
  SPILLWAY_CHECK(tokens <= tokens_.size());
  tokens_.resize(tokens);
}

std::vector<std::span<std::byte>> Engine::kv_blocks(size_t positions) {
  SPILLWAY_CHECK(positions <= parts_->kv.positions());
  std::vector<std::span<std::byte>> blocks;
  for (size_t i = 0; i < KvCache::blocks_for(positions); ++i)
    blocks.emplace_back(parts_->kv.blocks()[i], parts_->kv_layout.block_bytes);
  return blocks;
}

void Engine::restore(std::vector<formats::TokenId> tokens) {
  SPILLWAY_CHECK(tokens.size() <= parts_->kv.positions());
  tokens_ = std::move(tokens);
}

DType Engine::kv_dtype() const {
  return parts_->kv_layout.dtype;
}

const RunShape& Engine::shape() const {
  return parts_->run.shape;
}
const placement::Plan& Engine::plan() const {
  return parts_->run.plan;
}
Result<void> Engine::finish_loading() {
  return parts_->memory.finish_loading();
}
void Engine::take_form() {
  while (!parts_->memory.has_form()) parts_->memory.take_form(parts_->context.ops);
}
bool Engine::mapped() const {
  return parts_->memory.mapped();
}
std::string_view Engine::read_method() const {
  return parts_->ring ? parts_->ring->method() : "none";
}

Traffic Engine::traffic() const {
  Traffic traffic{.disk_bytes = parts_->embedding.bytes_read(),
                  .host_bytes = parts_->weights->host_bytes(),
                  .loading_seconds = parts_->memory.loading_seconds()};
  if (parts_->ring) {
    traffic.disk_bytes += parts_->ring->statistics().bytes_read;
    traffic.wait_seconds = parts_->ring->statistics().wait_seconds;
  }
  return traffic;
}

}  // namespace spillway::engine
