// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Counts the calls of the global operator new. Defines that operator, so include this in only one
// translation unit of a program.

#include <cstddef>
#include <cstdlib>
#include <new>

namespace support {

/// Calls of operator new by this thread.
inline thread_local std::size_t news = 0;

inline void* counted(void* p) {
    ++news;
    if (p == nullptr)
        throw std::bad_alloc();
    return p;
}

} // namespace support

// Not inlined, because the compiler would warn about new paired with free.

[[gnu::noinline]] void* operator new(std::size_t size) {
    return support::counted(std::malloc(size == 0 ? 1 : size));
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
    const auto a = static_cast<std::size_t>(alignment);
    return support::counted(std::aligned_alloc(a, (size + a - 1) / a * a));
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    std::free(p);
}
