// spillway quantize: a model in a smaller format.
#include <algorithm>
#include <cstdio>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/model_source.h"
#include "cli/model_writer.h"
#include "platform/linux/linux_platform.h"

namespace spillway::cli {
namespace {

struct QuantizeOptions {
  std::string in;
  std::string out;
  std::string type;
  WriterOptions writer;
  bool pure = false;
  bool requantise = false;
  bool dry_run = false;
};

std::string mixture_line(const engine::GgufDraft& draft) {
  std::vector<std::pair<std::string_view, size_t>> counts;
  for (const engine::TensorCopy& tensor : draft.tensors) {
    const std::string_view name = dtype_info(tensor.dtype).name;
    const auto found = std::ranges::find(counts, name, &decltype(counts)::value_type::first);
    if (found == counts.end()) {
      counts.emplace_back(name, 1);
    } else {
      ++found->second;
    }
  }
  std::string text;
  for (const auto& [name, count] : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
  return text;
}

Result<void> quantize(const QuantizeOptions& options) {
  const auto type = model::find_file_type(options.type);
  if (!type) {
    return fail(ErrorCode::kUsage, "TYPE is '{}'; it can be {}", options.type,
                model::file_type_names());
  }
  const auto platform = platform::make_linux_platform();
  SPILLWAY_ASSIGN(auto writer, ModelWriter::create(*platform, options.writer, options.out));
  SPILLWAY_ASSIGN(ModelSource source,
                  ModelSource::open(*platform, options.in, writer.header_limit()));
  engine::GgufDraft& draft = source.draft;
  const auto chosen = engine::choose_dtypes(
      draft, {.type = *type, .pure = options.pure, .requantise = options.requantise});
  if (!chosen) return fail_within(options.in, chosen.error());
  engine::finish(draft);
  SPILLWAY_TRY(writer.charge_headers(source.header_bytes + draft.header.memory_bytes()));
  const double started = platform->clock().seconds();
  if (!options.dry_run) SPILLWAY_TRY(writer.write(draft));
  std::fprintf(stderr, "%s → %s %s (tensors: %s)%s\n", format_size(source.size_bytes).c_str(),
               format_size(draft.header.file_bytes()).c_str(), std::string(type->name).c_str(),
               mixture_line(draft).c_str(), options.dry_run ? "; nothing was written" : "");
  if (!options.dry_run) {
    std::fprintf(stderr, "%.1f s, peak %s of host memory\n", platform->clock().seconds() - started,
                 format_size(writer.peak_bytes()).c_str());
  }
  return {};
}

}  // namespace

void add_quantize(Command& program) {
  auto options = std::make_shared<QuantizeOptions>();
  Command command = program.add_command("quantize", "writes a model in a smaller format");
  command.add_option("IN", options->in, "a GGUF file in F32, F16 or BF16, or a Hugging Face folder")
      .required();
  command.add_option("OUT", options->out, "the GGUF file to write").required();
  command.add_option("TYPE", options->type, model::file_type_names()).required();
  options->writer.add_to(command);
  command.add_flag("--pure", options->pure, "all matrices in one format, none kept finer");
  command.add_flag("--allow-requantize", options->requantise,
                   "from a file that is quantised already, too");
  command.add_flag("--dry-run", options->dry_run, "say what would come of it; write nothing");
  command.on_chosen([options] { return quantize(*options); });
}

}  // namespace spillway::cli
