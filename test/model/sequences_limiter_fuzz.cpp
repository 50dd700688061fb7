// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <model/sequences_fuzz.hpp>
#include <model/sequences_limiter.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    sequences::fuzz<sequences::limiter_driver>(data, size);
    return 0;
}
