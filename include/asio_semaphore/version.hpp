#pragma once

namespace asio_semaphore {

// The build system reads these three constants. What repeats them, the test package/version compares.
/// From 1.0 on, a change of it may break source code.
inline constexpr int version_major = 0;
/// While the major version is 0, a change of it may break source code.
inline constexpr int version_minor = 2;
/// A change of it breaks nothing.
inline constexpr int version_patch = 0;

} // namespace asio_semaphore
