// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The state of a fleet client. Fleet layer; see lines.hpp.

#include <asio_semaphore/detail/fleet/machine.hpp>
#include <asio_semaphore/detail/fleet/store.hpp>
#include <asio_semaphore/detail/state/waiting_line.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/strand.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace asio_semaphore::detail::fleet {

namespace asio = boost::asio;

using fleet_line = waiting_line<threads>;

/// The client: its machine, its connection, and its line, in which async_run and async_close wait.
class client_state final : public fleet_line, private store::user {
public:
    using executor_type = asio::any_io_executor;
    using strand_type = asio::strand<executor_type>;
    using store_maker =
        std::function<std::shared_ptr<store>(const strand_type&, std::string client)>;
    using log_type = std::function<void(std::string_view)>;

    client_state(const executor_type& executor, const store_maker& make_store, log_type log);

    /// Returns the system executor once the client's context is gone.
    executor_type get_executor() const noexcept;
    const boost::intrusive_ptr<registry_type>& registry() const noexcept { return registry_; }

    /// Calls f with the machine and the time, under the machine's mutex, and returns its result.
    template <typename F>
    decltype(auto) with_machine(F f) {
        std::lock_guard<std::mutex> lock(machine_mutex_);
        return f(machine_, clock::now());
    }

    /// Makes the strand call look(), which sends calls, sets the timer and reports events.
    /// @pre no lock is held
    void wake() noexcept;

    outcome enqueue_run(waiter_type& w) noexcept;
    outcome enqueue_close(waiter_type& w);

    /// Whether semaphores of this client admit operations.
    bool is_open() const noexcept { return !is_closing_ && !is_ended_ && !is_shut_; }
    bool is_closed() const noexcept { return is_closing_; }
    bool is_ended() const noexcept { return is_ended_; }
    bool is_shut() const noexcept { return is_shut_; }

    /// Called when the client object is destroyed.
    void end() noexcept;

private:
    class parts;

    void bar() noexcept override { is_shut_ = phase_ == phase::shut; }
    void leaves(waiter_type& w, outcome) noexcept override;
    void make_way(taken_type&) noexcept override {}

    std::shared_ptr<const executor_type> take_executor() noexcept;

    // Called on the strand.
    void look();
    void look_at_run();
    void look_at_calls();
    void look_at_timer();
    void look_at_end();
    void connected() override;
    void disconnected(boost::system::error_code reason) override;
    void replied(std::vector<reply> replies) override;
    void pushed(const push& p) override;
    void failed() noexcept override;
    void log(std::string_view text) override;

    void tell_events() noexcept;
    /// Ends all operations of semaphores and permits.
    void abandon() noexcept;

    // Guarded by mutex_. Null once the context is gone, because a strand does not survive its
    // context.
    std::shared_ptr<const executor_type> executor_;
    const boost::intrusive_ptr<registry_type> registry_; // of the executor's context
    const log_type log_;
    std::mutex machine_mutex_;
    machine machine_;                // guarded by machine_mutex_
    waiter_type* running_ = nullptr; // async_run's waiter; guarded by mutex_
    std::atomic<bool> is_run_{false};
    std::atomic<bool> is_new_run_{false}; // the machine does not know yet that the client runs
    std::atomic<bool> is_closing_{false};
    std::atomic<bool> is_ended_{false};
    std::atomic<bool> is_woken_{false}; // a call of look() is posted
    std::atomic<bool> is_shut_{false};  // the context is shut down
    std::atomic<int> waking_{0};        // threads that use the strand; shutdown waits for them
    parts* const parts_;                // owned by the line, as its alarm
};

using client_pointer = boost::intrusive_ptr<client_state>;

} // namespace asio_semaphore::detail::fleet
