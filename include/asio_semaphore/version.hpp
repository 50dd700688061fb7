// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

namespace asio_semaphore {

// The build system reads these three constants. The test package/version checks every other place
// that states the version.
/// From 1.0 on, a new major version may break source code.
inline constexpr int version_major = 0;
/// While the major version is 0, a new minor version may break source code.
inline constexpr int version_minor = 2;
/// A new patch version breaks nothing.
inline constexpr int version_patch = 0;

} // namespace asio_semaphore
