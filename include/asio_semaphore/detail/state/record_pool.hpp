// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Unused key records, kept for the next keys: in steady use, a limiter allocates none. State layer.
// The mutex of the limiter's state guards the pool.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/admission_queue.hpp>

#include <cstddef>
#include <utility>

namespace asio_semaphore::detail {

class record_pool {
public:
    record_pool() = default;
    record_pool(const record_pool&) = delete;
    record_pool& operator=(const record_pool&) = delete;
    ~record_pool() {
        while (key_record* const record = take())
            delete record;
    }

    bool empty() const noexcept { return first_ == nullptr; }

    /// The pool takes ownership of the record.
    void put(key_record& record) noexcept {
        record.next_spare = std::exchange(first_, &record);
        ++size_;
    }

    /// The caller takes ownership of the record; null if the pool is empty.
    key_record* take() noexcept {
        key_record* const record = first_;
        if (record != nullptr) {
            first_ = record->next_spare;
            --size_;
        }
        return record;
    }

    /// A surplus record for the caller to free with the mutex unlocked, or null.
    key_record* take_excess() noexcept { return size_ > most ? take() : nullptr; }

private:
    static constexpr std::size_t most = 16;

    key_record* first_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace asio_semaphore::detail
