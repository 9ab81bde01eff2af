// The border itself: whatever happens behind it, a C program sees a status and a text.
#include "c_api/call.h"

#include <new>
#include <stdexcept>

#include "c_api.h"

namespace spillway::c_api {
namespace {

TEST(Border, ErrorsAreStatuses) {
  expect_failure(call([]() -> Result<void> { return fail(ErrorCode::kBudget, "{} bytes", 7); }),
                 SPILLWAY_BUDGET, "7 bytes");
  expect_failure(call([]() -> Result<void> { return fail(ErrorCode::kMachine, "lost"); }),
                 SPILLWAY_MACHINE, "lost");
}

TEST(Border, NoExceptionPassesIt) {
  expect_failure(call([]() -> Result<void> { throw std::bad_alloc(); }), SPILLWAY_MACHINE,
                 "bad_alloc");
  expect_failure(call([]() -> Result<void> { throw std::length_error("too long"); }),
                 SPILLWAY_MACHINE, "too long");
  expect_failure(call([]() -> Result<void> { throw 7; }), SPILLWAY_MACHINE, "unknown");
}

}  // namespace
}  // namespace spillway::c_api
