// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// What cancels an operation through its slot, and which types of cancellation do. Asio layer.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/waiting_line.hpp>

#include <boost/asio/cancellation_type.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <utility>

namespace asio_semaphore::detail {

namespace asio = boost::asio;

/// An acquire has no effect until it is granted, so it can honour every type of cancellation.
inline bool ends_an_acquire(asio::cancellation_type_t type) noexcept {
    constexpr auto all = asio::cancellation_type::terminal | asio::cancellation_type::partial |
                         asio::cancellation_type::total;
    return (type & all) != asio::cancellation_type::none;
}

/// The cancellation handler that an operation installs in its slot. The operation does not touch
/// the slot again, so the signal may be destroyed or reused at any time.
class slot_canceller {
public:
    explicit slot_canceller(boost::intrusive_ptr<waiting_line<threads>> line) noexcept :
        link_(std::move(line)) {}

    void attach(waiter<threads>& w) noexcept { link_.attach(w); }

    void operator()(asio::cancellation_type_t type) noexcept {
        if (detail::ends_an_acquire(type))
            link_.fire();
    }

private:
    cancellation_link<threads> link_;
};

} // namespace asio_semaphore::detail
