// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <model/sequences.hpp>
#include <model/sequences_fuzz.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    sequences::fuzz<sequences::driver>(data, size);
    return 0;
}
