// Any bytes are a sequence; where library and model differ, the sequence is printed in words.

#include <model/sequences.hpp>

#include <cstdint>
#include <cstdlib>
#include <iostream>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    try {
        sequences::driver().run(bytes);
    } catch (const sequences::mismatch&) {
        try {
            sequences::driver(&std::cerr).run(bytes);
        } catch (const sequences::mismatch& m) {
            std::cerr << '\n' << m.what() << '\n';
        }
        std::cerr << "replay with ASIO_SEMAPHORE_TEST_SEQUENCE='" << sequences::printable(bytes)
                  << "'\n";
        std::abort();
    }
    return 0;
}
