// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/error.hpp>

#include <boost/system/errc.hpp>

#include <string>

namespace asio_semaphore {
namespace detail {

class semaphore_error_category final : public boost::system::error_category {
public:
    constexpr semaphore_error_category() noexcept :
        boost::system::error_category(0x5e3af04ec0a1d1c7) {}

    const char* name() const noexcept override { return "asio_semaphore"; }

    const char* message(int value, char*, std::size_t) const noexcept override {
        switch (static_cast<error>(value)) {
        case error::closed:
            return "The semaphore or limiter is closed";
        case error::exceeds_max:
            return "More requested than the semaphore or limiter can ever hold";
        case error::over_release:
            return "The release would exceed the semaphore's maximum";
        case error::queue_full:
            return "Too many operations wait already";
        case error::shed:
            return "Shed from the queue under load";
        }
        return "Unknown asio_semaphore error";
    }

    std::string message(int value) const override { return message(value, nullptr, 0); }
};

inline constexpr semaphore_error_category the_error_category;

class overload_condition_category final : public boost::system::error_category {
public:
    constexpr overload_condition_category() noexcept :
        boost::system::error_category(0x5e3af04ec0a1d1c8) {}

    const char* name() const noexcept override { return "asio_semaphore_condition"; }

    const char* message(int value, char*, std::size_t) const noexcept override {
        return value == static_cast<int>(condition::overload) ? "Refused under load"
                                                              : "Unknown asio_semaphore condition";
    }

    std::string message(int value) const override { return message(value, nullptr, 0); }

    bool equivalent(const boost::system::error_code& ec, int value) const noexcept override {
        return value == static_cast<int>(condition::overload) &&
               (ec == error::queue_full || ec == error::shed ||
                ec == boost::system::errc::timed_out);
    }
};

inline constexpr overload_condition_category the_condition_category;

} // namespace detail

ASIO_SEMAPHORE_DECL const boost::system::error_category& error_category() noexcept {
    return detail::the_error_category;
}

ASIO_SEMAPHORE_DECL boost::system::error_code make_error_code(error e) noexcept {
    return {static_cast<int>(e), error_category()};
}

ASIO_SEMAPHORE_DECL const boost::system::error_category& condition_category() noexcept {
    return detail::the_condition_category;
}

ASIO_SEMAPHORE_DECL boost::system::error_condition make_error_condition(condition c) noexcept {
    return {static_cast<int>(c), condition_category()};
}

} // namespace asio_semaphore
