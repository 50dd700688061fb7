// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/fleet/fleet_error.hpp>

#include <string>

namespace asio_semaphore {
namespace detail {

class fleet_error_category_type final : public boost::system::error_category {
public:
    constexpr fleet_error_category_type() noexcept :
        boost::system::error_category(0x5e3af04ec0a1d1c9) {}

    const char* name() const noexcept override { return "asio_semaphore_fleet"; }

    const char* message(int value, char*, std::size_t) const noexcept override {
        switch (static_cast<fleet_error>(value)) {
        case fleet_error::lost:
            return "The permit is lost";
        case fleet_error::limit_mismatch:
            return "The fleet has another limit under this name";
        case fleet_error::unreachable:
            return "The fleet's server cannot be reached";
        case fleet_error::rejected:
            return "The fleet's server refuses";
        case fleet_error::clustered:
            return "The fleet's server is part of a cluster, and another one has the key";
        case fleet_error::incompatible:
            return "The fleet's server has data of another version of the library";
        }
        return "Unknown error of the fleet";
    }

    std::string message(int value) const override { return message(value, nullptr, 0); }
};

inline constexpr fleet_error_category_type the_fleet_error_category;

} // namespace detail

inline const boost::system::error_category& fleet_error_category() noexcept {
    return detail::the_fleet_error_category;
}

inline boost::system::error_code make_error_code(fleet_error e) noexcept {
    return {static_cast<int>(e), fleet_error_category()};
}

} // namespace asio_semaphore
