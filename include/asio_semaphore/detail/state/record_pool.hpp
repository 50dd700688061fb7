#pragma once

// Records of keys that nobody uses, for the next keys: in steady use a limiter allocates none.
// State layer; the mutex of the limiter's state guards it.

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

    /// It owns the record from now on.
    void put(key_record& record) noexcept {
        record.next_spare = std::exchange(first_, &record);
        ++size_;
    }

    /// The caller owns the record from now on; null: there is none.
    key_record* take() noexcept {
        key_record* const record = first_;
        if (record != nullptr) {
            first_ = record->next_spare;
            --size_;
        }
        return record;
    }

    /// One that is too much, to be freed with the mutex free, or null.
    key_record* take_excess() noexcept { return size_ > most ? take() : nullptr; }

private:
    static constexpr std::size_t most = 16;

    key_record* first_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace asio_semaphore::detail
