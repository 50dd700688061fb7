#pragma once

// Who waits for a limit of the fleet, as lines of the mechanism that the semaphore has: one for
// each semaphore object, one for each request and the permit that becomes of it, one for the
// client. Fleet layer.
//
// Order of locks: a line's mutex, the machine's, a registry's. An operation waits in its line from
// its start until it is taken out there, under that line's mutex: so a grant, a deadline and a
// cancellation exclude each other as they do in the semaphore. What the machine says of a request
// whose operation has left the line already goes back to the machine.
//
// Under the machine's mutex a lease may go that nobody else has, and is struck off its registry. It
// refers to no line by then, so that nothing of the user's goes with it: no executor, no timer.

#include <asio_semaphore/detail/fleet/machine.hpp>
#include <asio_semaphore/detail/fleet/store.hpp>
#include <asio_semaphore/detail/operation/completion.hpp>
#include <asio_semaphore/detail/state/waiting_line.hpp>
#include <asio_semaphore/fleet/fleet_error.hpp>
#include <asio_semaphore/fleet/fleet_options.hpp>
#include <asio_semaphore/fleet/fleet_statistics.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace asio_semaphore::detail::fleet {

namespace asio = boost::asio;

using fleet_line = waiting_line<threads>;

class client_state;
class lease;
class limit_line;
using client_pointer = boost::intrusive_ptr<client_state>;
using lease_pointer = boost::intrusive_ptr<lease>;
using line_pointer = boost::intrusive_ptr<limit_line>;

/// What the errors of the fleet's operations are, beyond those of every limit.
inline boost::system::error_code to_error_code(outcome result) noexcept;

/// An operation that waits for the answer to a request.
struct request_waiter : timed_waiter<threads> {
    request_waiter(lease_pointer request, detail::time_point deadline, bool works) noexcept;

    lease_pointer asking;
    status_record status;
};

/// A request, and the permit that becomes of it. In its line stand those who wait for its loss, and
/// who waits for the answer to its release. Closed: it is lost. Destroyed: it has been given back.
class lease final : public ticket, public fleet_line {
public:
    lease(purpose what, std::ptrdiff_t n, line_pointer from, client_pointer client);

    client_state& client() const noexcept { return *client_; }

    /// Gives it back. Who waits for its loss ends as aborted.
    void give_back() noexcept;

    /// The client's context is gone.
    bool is_shut() const noexcept { return is_shut_; }

    outcome enqueue_wait(waiter_type& w) noexcept;
    /// Gives it back; w waits for the answer.
    outcome enqueue_release(waiter_type& w);

    /// @pre called by one thread at a time, with no lock held
    void tell(const event& e) noexcept;

    friend void intrusive_ptr_add_ref(lease* l) noexcept {
        intrusive_ptr_add_ref(static_cast<fleet_line*>(l));
    }
    friend void intrusive_ptr_release(lease* l) noexcept {
        intrusive_ptr_release(static_cast<fleet_line*>(l));
    }

private:
    void add_reference() noexcept override { intrusive_ptr_add_ref(this); }
    void drop_reference() noexcept override { intrusive_ptr_release(this); }

    void bar() noexcept override { is_shut_ = phase_ == phase::shut; }
    void leaves(waiter_type& w, outcome) noexcept override;
    void make_way(taken_type&) noexcept override {}
    bool outlasts(const waiter_type& w, outcome result) const noexcept override;

    void finish_release(outcome how) noexcept;

    friend class limit_line;

    const client_pointer client_;
    line_pointer from_; // until its operation has left that; guarded by the machine's mutex
    waiter_type* releasing_ = nullptr; // guarded by mutex_
    std::atomic<bool> is_shut_{false};
};

/// One semaphore object of a limit.
class limit_line final : public fleet_line {
public:
    /// @throws std::invalid_argument as machine::open
    limit_line(
        boost::intrusive_ptr<registry_type> registry, client_pointer client, std::string_view name,
        std::ptrdiff_t permits, const fleet_options& options);

    client_state& client() const noexcept { return *client_; }
    /// How an operation that starts now ends at once; `queued` while the object is open.
    outcome state() const noexcept;
    bool is_open() const noexcept;
    std::ptrdiff_t permits() const noexcept;
    std::size_t waiting_here() const noexcept;
    fleet_statistics statistics() const;

    outcome enqueue(request_waiter& w, bool is_alarmed = false);

    /// The object dies.
    void end() noexcept;

    /// What became of a request.
    void finish(lease& request, const event& e) noexcept;

private:
    void bar() noexcept override;
    void leaves(waiter_type& w, outcome result) noexcept override;
    void make_way(taken_type&) noexcept override {}

    const client_pointer client_;
    bool is_mismatch_ = false; // another object here has the name with another limit
    limit* const limit_;
    std::atomic<outcome> state_{outcome::queued}; // written under mutex_
};

/// The client: its machine, its connection, and its line, in which stand whoever runs it and those
/// who wait for its end.
class client_state final : public fleet_line, private store::user {
public:
    using executor_type = asio::any_io_executor;
    using strand_type = asio::strand<executor_type>;
    using store_maker =
        std::function<std::shared_ptr<store>(const strand_type&, std::string client)>;
    using log_type = std::function<void(std::string_view)>;

    client_state(const executor_type& executor, const store_maker& make_store, log_type log);

    /// Once its context is gone, the system's.
    executor_type get_executor() const noexcept;
    const boost::intrusive_ptr<registry_type>& registry() const noexcept { return registry_; }

    /// What f makes of the machine and the time.
    template <typename F>
    decltype(auto) with_machine(F f) {
        std::lock_guard<std::mutex> lock(machine_mutex_);
        return f(machine_, clock::now());
    }

    /// Has the strand look at what there is to say, to do and to tell. @pre no lock is held
    void wake() noexcept;

    outcome enqueue_run(waiter_type& w) noexcept;
    outcome enqueue_close(waiter_type& w);

    bool is_closed() const noexcept { return is_closing_; }
    bool is_ended() const noexcept { return is_ended_; }
    bool is_shut() const noexcept { return is_shut_; }

    /// The object dies.
    void end() noexcept;

private:
    class parts;

    void bar() noexcept override { is_shut_ = phase_ == phase::shut; }
    void leaves(waiter_type& w, outcome) noexcept override;
    void make_way(taken_type&) noexcept override {}

    std::shared_ptr<const executor_type> take_executor() noexcept;

    // On the strand.
    void look();
    void look_at_run();
    void finish_all() noexcept;
    void connected() override;
    void disconnected(boost::system::error_code reason) override;
    void replied(std::vector<reply> replies) override;
    void pushed(const push& p) override;
    void log(std::string_view text) override;

    static void tell_all(const std::vector<event>& events) noexcept;

    // Guarded by mutex_. Null once the context is gone: a strand does not survive that.
    std::shared_ptr<const executor_type> executor_;
    const boost::intrusive_ptr<registry_type> registry_; // of the executor's context
    const log_type log_;
    std::mutex machine_mutex_;       // a leaf
    machine machine_;                // guarded by machine_mutex_
    waiter_type* running_ = nullptr; // guarded by mutex_: who runs the client
    std::atomic<bool> is_run_{false};
    std::atomic<bool> is_closing_{false};
    std::atomic<bool> is_ended_{false};
    std::atomic<bool> is_woken_{false}; // a look is on its way
    std::atomic<bool> is_shut_{false};  // the context goes
    std::atomic<int> waking_{0};        // threads that use the strand, for which that waits
    parts* const parts_;                // belongs to the line, as its alarm
};

} // namespace asio_semaphore::detail::fleet

#include <asio_semaphore/detail/fleet/impl/lines.ipp>
