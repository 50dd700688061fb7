// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

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

ASIO_SEMAPHORE_DECL permit permit::split(std::ptrdiff_t n) {
    if (n < 0 || n > count_)
        boost::throw_exception(
            std::invalid_argument("permit::split: not between 0 and the permits it holds"));
    if (n == count_)
        return std::move(*this);
    permit part(state_, n);
    count_ -= n;
    return part;
}

ASIO_SEMAPHORE_DECL void permit::merge(permit&& other) {
    if (this == &other || !other)
        return;
    if (count_ > 0 && state_ != other.state_)
        boost::throw_exception(std::invalid_argument("permit::merge: of another semaphore"));
    if (other.count_ > std::numeric_limits<std::ptrdiff_t>::max() - count_)
        boost::throw_exception(std::invalid_argument("permit::merge: too many permits"));
    other.count_ += std::exchange(count_, 0);
    forget();
    swap(other);
}

ASIO_SEMAPHORE_DECL void permit::swap(permit& other) noexcept {
    std::swap(state_, other.state_);
    std::swap(count_, other.count_);
}

ASIO_SEMAPHORE_DECL std::ptrdiff_t permit::non_negative(std::ptrdiff_t n) {
    if (n < 0)
        boost::throw_exception(std::invalid_argument("permit: a negative number of permits"));
    return n;
}

} // namespace asio_semaphore
