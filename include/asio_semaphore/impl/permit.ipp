#pragma once

#include <asio_semaphore/permit.hpp>

#include <boost/throw_exception.hpp>

#include <limits>
#include <stdexcept>
#include <utility>

namespace asio_semaphore {

ASIO_SEMAPHORE_DECL permit& permit::operator=(permit&& other) noexcept {
    permit(std::move(other)).swap(*this);
    return *this;
}

ASIO_SEMAPHORE_DECL void permit::reset() noexcept {
    if (count_ == 0)
        return;
    // Emptied first: giving back may run foreign code that looks at this permit again.
    const state_pointer state = std::move(state_);
    state->put_back(std::exchange(count_, 0));
}

ASIO_SEMAPHORE_DECL std::ptrdiff_t permit::forget() noexcept {
    state_.reset();
    return std::exchange(count_, 0);
}

ASIO_SEMAPHORE_DECL permit permit::split(std::ptrdiff_t n) {
    if (n < 0 || n > count_)
        boost::throw_exception(
            std::invalid_argument("permit::split: not between 0 and the permits it holds"));
    permit part(state_, n);
    count_ -= n;
    if (count_ == 0)
        state_.reset();
    return part;
}

ASIO_SEMAPHORE_DECL void permit::merge(permit&& other) {
    if (this == &other || !other)
        return;
    if (count_ > 0 && state_ != other.state_)
        boost::throw_exception(std::invalid_argument("permit::merge: of another semaphore"));
    if (other.count_ > std::numeric_limits<std::ptrdiff_t>::max() - count_)
        boost::throw_exception(std::invalid_argument("permit::merge: too many permits"));
    count_ += std::exchange(other.count_, 0);
    state_ = std::move(other.state_);
}

ASIO_SEMAPHORE_DECL void permit::swap(permit& other) noexcept {
    state_.swap(other.state_);
    std::swap(count_, other.count_);
}

ASIO_SEMAPHORE_DECL std::ptrdiff_t permit::non_negative(std::ptrdiff_t n) {
    if (n < 0)
        boost::throw_exception(std::invalid_argument("permit: a negative number of permits"));
    return n;
}

} // namespace asio_semaphore
