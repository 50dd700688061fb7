#pragma once

namespace asio_semaphore {

// The build system reads these three lines; nothing else states the version.
inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;

} // namespace asio_semaphore
