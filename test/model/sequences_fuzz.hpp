// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Takes any bytes as a sequence. If the library and the model differ, prints the sequence in words.

#include <model/sequences_machine.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>

namespace sequences {

template <typename Driver>
void fuzz(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    try {
        Driver().run(bytes);
    } catch (const mismatch&) {
        try {
            Driver(&std::cerr).run(bytes);
        } catch (const mismatch& m) {
            std::cerr << '\n' << m.what() << '\n';
        }
        std::cerr << "replay with ASIO_SEMAPHORE_TEST_SEQUENCE='" << printable(bytes) << "'\n";
        std::abort();
    }
}

} // namespace sequences
