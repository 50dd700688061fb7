// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Lets memory run out on demand. Replaces the global operator new, and aligned_alloc of the C
// library, from which Asio gets the memory that it recycles. So include this in only one
// translation unit of a program.

#include <model/faults.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace faults {

inline void* aligned_memory(std::size_t alignment, std::size_t size) noexcept {
    void* memory = nullptr;
    if (alignment < sizeof(void*))
        alignment = sizeof(void*);
    return ::posix_memalign(&memory, alignment, size == 0 ? 1 : size) == 0 ? memory : nullptr;
}

inline void* memory_or_throw(void* memory) {
    if (memory == nullptr)
        throw std::bad_alloc();
    return memory;
}

} // namespace faults

extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
    if (faults::plan::get().spend(faults::kind::recycle)) {
        errno = ENOMEM;
        return nullptr;
    }
    return faults::aligned_memory(alignment, size);
}

void* operator new(std::size_t size) {
    if (faults::plan::get().spend(faults::kind::operator_new))
        throw std::bad_alloc();
    return faults::memory_or_throw(std::malloc(size == 0 ? 1 : size));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    if (faults::plan::get().spend(faults::kind::operator_new))
        throw std::bad_alloc();
    return faults::memory_or_throw(
        faults::aligned_memory(static_cast<std::size_t>(alignment), size));
}
void operator delete(void* p) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    std::free(p);
}
