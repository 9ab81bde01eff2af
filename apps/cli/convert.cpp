// spillway convert: a GGUF file as a Hugging Face folder, and the way back.
#include <cstdio>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/model_source.h"
#include "cli/model_writer.h"
#include "engine/model_folder.h"
#include "platform/linux/linux_platform.h"

namespace spillway::cli {
namespace {

struct ConvertOptions {
  std::string in;
  std::string out;
  WriterOptions writer;
};

Result<void> to_folder(platform::Platform& platform, const ConvertOptions& options,
                       ModelWriter& writer) {
  SPILLWAY_ASSIGN(const auto file, platform.open(options.in, {}));
  auto source = formats::GgufFile::parse(*file, {.memory_bytes = writer.header_limit()});
  if (!source) return fail_within(options.in, source.error());
  const auto draft = engine::draft_of_folder(*file, *source);
  if (!draft) return fail_within(options.in, draft.error());
  SPILLWAY_TRY(writer.charge_headers(source->memory_bytes() + draft->text_bytes()));
  return writer.write(*draft);
}

Result<void> to_gguf(platform::Platform& platform, const ConvertOptions& options,
                     ModelWriter& writer) {
  SPILLWAY_ASSIGN(ModelSource source,
                  ModelSource::open(platform, options.in, writer.header_limit()));
  engine::finish(source.draft);
  SPILLWAY_TRY(writer.charge_headers(source.header_bytes + source.draft.header.memory_bytes()));
  return writer.write(source.draft);
}

Result<void> convert(const ConvertOptions& options) {
  const auto platform = platform::make_linux_platform();
  SPILLWAY_ASSIGN(auto writer, ModelWriter::create(*platform, options.writer, options.out));
  const auto convert_one = engine::is_model_folder(options.in) ? to_gguf : to_folder;
  SPILLWAY_TRY(convert_one(*platform, options, writer));
  std::fprintf(stderr, "peak %s of host memory\n", format_size(writer.peak_bytes()).c_str());
  return {};
}

}  // namespace

void add_convert(Command& program) {
  auto options = std::make_shared<ConvertOptions>();
  Command command = program.add_command(
      "convert", "makes a Hugging Face folder of a GGUF file, or the other way round");
  command
      .add_option("IN", options->in,
                  "a GGUF file, or a folder with config.json, tokenizer.json and safetensors")
      .required();
  command.add_option("OUT", options->out, "the folder or the GGUF file to make").required();
  options->writer.add_to(command);
  command.on_chosen([options] { return convert(*options); });
}

}  // namespace spillway::cli
