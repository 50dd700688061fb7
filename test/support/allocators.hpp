// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Allocators that count, that fail on demand, or that own a single block.

#include <cstddef>
#include <new>

namespace support {

/// What all copies of an allocator have done, and when they fail.
struct memory_book {
    int allocated = 0;
    int freed = 0;
    int left = -1; ///< how many allocations still succeed; negative: all

    int live() const { return allocated - freed; }
};

/// Counts in a memory_book, which outlives it.
template <typename T = void>
class counting_allocator {
public:
    using value_type = T;

    explicit counting_allocator(memory_book& book) noexcept : book_(&book) {}
    template <typename U>
    counting_allocator(const counting_allocator<U>& other) noexcept : book_(other.book_) {}

    T* allocate(std::size_t n) {
        if (book_->left == 0)
            throw std::bad_alloc();
        if (book_->left > 0)
            --book_->left;
        ++book_->allocated;
        return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(alignof(T))));
    }
    void deallocate(T* p, std::size_t) noexcept {
        ++book_->freed;
        ::operator delete(p, std::align_val_t(alignof(T)));
    }

    template <typename U>
    bool operator==(const counting_allocator<U>& other) const noexcept {
        return book_ == other.book_;
    }
    template <typename U>
    bool operator!=(const counting_allocator<U>& other) const noexcept {
        return book_ != other.book_;
    }

private:
    template <typename>
    friend class counting_allocator;
    memory_book* book_;
};

/// Memory for one block at a time. A second allocation before the deallocation throws.
class one_block {
public:
    void* allocate(std::size_t size) {
        if (out_ || size > sizeof(bytes_))
            throw std::bad_alloc();
        out_ = true;
        ++served_;
        return bytes_;
    }
    void deallocate(void*) noexcept { out_ = false; }

    bool out() const { return out_; }
    int served() const { return served_; }

private:
    alignas(64) unsigned char bytes_[2048];
    bool out_ = false;
    int served_ = 0;
};

template <typename T = void>
class one_block_allocator {
public:
    using value_type = T;

    explicit one_block_allocator(one_block& arena) noexcept : arena_(&arena) {}
    template <typename U>
    one_block_allocator(const one_block_allocator<U>& other) noexcept : arena_(other.arena_) {}

    T* allocate(std::size_t n) {
        static_assert(alignof(T) <= 64);
        return static_cast<T*>(arena_->allocate(n * sizeof(T)));
    }
    void deallocate(T* p, std::size_t) noexcept { arena_->deallocate(p); }

    template <typename U>
    bool operator==(const one_block_allocator<U>& other) const noexcept {
        return arena_ == other.arena_;
    }
    template <typename U>
    bool operator!=(const one_block_allocator<U>& other) const noexcept {
        return arena_ != other.arena_;
    }

private:
    template <typename>
    friend class one_block_allocator;
    one_block* arena_;
};

} // namespace support
