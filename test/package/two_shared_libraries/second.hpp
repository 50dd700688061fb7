// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore.hpp>

#include <boost/asio/execution.hpp>
#include <boost/asio/io_context.hpp>

#include <memory>
#include <type_traits>
#include <utility>

#define VISIBLE [[gnu::visibility("default")]]

/// Destroys every function without running it.
struct VISIBLE dropping_executor {
    boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept {
        return *context;
    }
    static constexpr boost::asio::execution::blocking_t
    query(boost::asio::execution::blocking_t) noexcept {
        return boost::asio::execution::blocking.never;
    }
    template <typename Function>
    void execute(Function&& f) const {
        [[maybe_unused]] const std::decay_t<Function> dropped(std::forward<Function>(f));
    }
    friend bool operator==(dropping_executor a, dropping_executor b) noexcept {
        return a.context == b.context;
    }
    friend bool operator!=(dropping_executor a, dropping_executor b) noexcept { return !(a == b); }

    boost::asio::io_context* context;
};
using dropping_semaphore = asio_semaphore::basic_async_semaphore<dropping_executor>;

// Functions of the second library that use objects of the first one.
VISIBLE const void* second_service(boost::asio::io_context& context);
VISIBLE bool second_says_closed(const boost::system::error_code& ec);
VISIBLE boost::system::error_code second_error();
VISIBLE void second_waits(asio_semaphore::async_semaphore& semaphore, int& granted);
VISIBLE asio_semaphore::permit second_takes(asio_semaphore::async_semaphore& semaphore);
VISIBLE std::unique_ptr<dropping_semaphore> second_makes(boost::asio::io_context& context);
