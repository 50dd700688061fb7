// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Shared by the drivers of sequences, for any kind of object: contexts, executors for handlers,
// signals, handlers that report, and a model of the order in which the handlers run.
//
// A step is a letter and five arguments, each a character from '0' on. Any byte is valid, because
// each argument is taken modulo the number of its values. The trace says in words what a step does.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/system/error_code.hpp>
#include <boost/version.hpp>

#include <support/executors.hpp>
#if BOOST_VERSION >= 108200
#include <boost/asio/bind_immediate_executor.hpp>
#endif

#include <array>
#include <compare>
#include <cstddef>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sequences {

namespace asio = boost::asio;
using boost::system::error_code;

struct mismatch : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct thrown_by_handler {};

inline constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

/// The handlers of a lane run in order of submission. A lane has the handlers in one place for the
/// objects of one context.
struct lane {
    /// The number of places per context, and the place of inline handlers.
    static constexpr std::size_t places = 1000, inline_place = 999;

    std::size_t context, place;
    auto operator<=>(const lane&) const = default;
    bool leads_elsewhere() const { return place / places != context; }
    bool is_inline() const { return place % places == inline_place; }
};

/// departing: the object's context is being destroyed, and with it the operation, unless that has
/// already reached the handler's context.
enum class stage { waiting, submitted, departing, called, dropped };

struct traveller {
    lane way{};
    std::optional<lane> way_at_once{}; // the lane if the operation need not wait
    stage at = stage::waiting;
};

/// Operations on their way to their handlers. @tparam Operation derives from traveller
template <typename Operation>
class traffic {
public:
    std::vector<Operation> operations;
    std::map<lane, std::deque<std::size_t>> lanes;

    void submit(std::size_t id, bool at_once) {
        traveller& o = operations[id];
        o.at = stage::submitted;
        if (at_once && o.way_at_once)
            o.way = *o.way_at_once;
        lanes[o.way].push_back(id);
    }

    /// The context of a handler's executor has to outlive the operation.
    bool is_relied_on(std::size_t context) const {
        for (const traveller& o : operations) {
            if (o.at <= stage::submitted && o.way.leads_elsewhere() &&
                o.way.place / lane::places == context)
                return true;
        }
        return false;
    }

    /// Stops the context: nothing runs there any more. @param drop ends an operation on its way
    template <typename Drop>
    void stop(std::size_t context, Drop drop) {
        for (auto& [way, submitted] : lanes) {
            if (way.context != context)
                continue;
            if (way.leads_elsewhere()) {
                for (const std::size_t id : submitted)
                    operations[id].at = stage::departing;
            } else {
                for (const std::size_t id : std::exchange(submitted, {}))
                    drop(id);
            }
        }
    }

    /// Called after the end of the context: operations that were not dropped have reached the
    /// context of their handler. False if a dropped operation of the same lane was ahead of one of
    /// these.
    bool depart(std::size_t context) {
        bool in_order = true;
        for (auto& [way, submitted] : lanes) {
            if (way.context != context || !way.leads_elsewhere())
                continue;
            std::deque<std::size_t> departed;
            bool before_all_dropped = true;
            for (const std::size_t id : submitted) {
                if (operations[id].at == stage::dropped) {
                    before_all_dropped = false;
                } else {
                    in_order = in_order && before_all_dropped;
                    operations[id].at = stage::submitted;
                    departed.push_back(id);
                }
            }
            submitted = std::move(departed);
        }
        return in_order;
    }
};

/// A handler that reports its call or destruction to the driver.
/** @tparam Held the type of the operations' result: a permit or an admission */
template <typename Driver, typename Held>
class reporting_handler {
public:
    using cancellation_slot_type = asio::cancellation_slot;

    reporting_handler(Driver& to, std::size_t id, cancellation_slot_type slot) noexcept :
        to_(&to), id_(id), slot_(slot) {}
    reporting_handler(reporting_handler&& other) noexcept :
        to_(std::exchange(other.to_, nullptr)), id_(other.id_), slot_(other.slot_) {}
    reporting_handler& operator=(reporting_handler&&) = delete;
    ~reporting_handler() {
        if (to_ != nullptr)
            to_->dropped(id_);
    }

    cancellation_slot_type get_cancellation_slot() const noexcept { return slot_; }

    void operator()(error_code ec) { std::exchange(to_, nullptr)->called(id_, ec, false, Held()); }
    void operator()(error_code ec, Held held) {
        std::exchange(to_, nullptr)->called(id_, ec, true, std::move(held));
    }

private:
    Driver* to_;
    std::size_t id_;
    cancellation_slot_type slot_;
};

/// The numbers of a step.
struct arguments {
    std::string_view bytes;

    std::size_t operator()(std::size_t i, std::size_t below) const {
        return static_cast<unsigned char>(bytes[i + 1]) % 16u % below;
    }
};

/// Runs one sequence. Throws mismatch if the model and the library differ.
class machine {
public:
    static constexpr std::size_t step_size = 6;

    /// The letter of the step for a byte; characters after z stand for no step.
    static char letter_of(char c) {
        return static_cast<char>('a' + (static_cast<unsigned char>(c) + 31) % 32);
    }

    machine(const machine&) = delete;
    machine& operator=(const machine&) = delete;

    void run(std::string_view text) {
        while (text.size() >= step_size) {
            const char letter = letter_of(text[0]);
            trace(letter, ' ');
            step(letter, {text.substr(0, step_size)});
            trace('\n');
            check();
            text.remove_prefix(step_size);
        }
        finish();
    }

protected:
    /// What a handler does when it is called.
    enum class deed { keep, drop, fail, again, end_signal, emit, cancel, end_object };

    struct place {
        std::unique_ptr<asio::io_context> context = std::make_unique<asio::io_context>(1);
        asio::strand<asio::io_context::executor_type> strand{context->get_executor()};
        std::size_t id = 0;
    };

    explicit machine(std::ostream* trace_to) : trace_(trace_to) {
        for (std::size_t i = 0; i < contexts_.size(); ++i)
            open_context(i);
        for (auto& s : signals_)
            s.emplace();
    }
    ~machine() = default;

    // For derived drivers:

    virtual void step(char letter, const arguments& arg) = 0;
    /// Checks the invariants after every step.
    virtual void check() const = 0;
    /// Ends everything that is left.
    virtual void finish() = 0;
    /// Called when a function of a context has run, or when there was none.
    virtual void polled(place&) = 0;
    /// Whether an operation waits there whose deadline has passed.
    virtual bool is_anybody_due(const place&) const = 0;
    /// Cancels the operation, if it waits.
    virtual void fire(std::size_t id) = 0;
    virtual void start_another(std::size_t object) = 0;
    virtual void cancel(std::size_t object) = 0;
    virtual void destroy(std::size_t object) = 0;

    template <typename... Parts>
    void require(bool holds, const Parts&... parts) const {
        if (holds || ending_)
            return;
        std::string message;
        ((message += text(parts)), ...);
        throw mismatch(message);
    }
    template <typename... Parts>
    void trace(const Parts&... parts) const {
        if (trace_ != nullptr)
            ((*trace_ << parts), ...);
    }

    /// Calls a function of the library, in which no handler may run.
    template <typename F>
    auto calling(F f) {
        struct guard {
            bool& flag;
            bool before;
            ~guard() { flag = before; }
        } guard{inside_, std::exchange(inside_, true)};
        return f();
    }

    /// Derived destructors call this before the destruction of their objects.
    void wind_up() {
        bool more = true;
        for (int i = 0; i < 10'000 && more; ++i) {
            more = false;
            for (auto& c : contexts_) {
                c->context->restart();
                more = c->context->poll_one() != 0 || more;
            }
        }
        for (auto& c : contexts_)
            c.reset();
    }

    // Contexts.

    void open_context(std::size_t i) {
        contexts_[i] = std::make_unique<place>();
        contexts_[i]->id = ++last_context_;
    }
    place* living(std::size_t id) {
        for (auto& c : contexts_) {
            if (c && c->id == id)
                return c.get();
        }
        return nullptr;
    }
    place& other_than(const place* home) { return *contexts_[home == contexts_[0].get() ? 1 : 0]; }

    template <typename Model>
    void renew_context(Model& model, std::size_t i) {
        trace("destroy context ", i);
        const std::size_t id = contexts_[i]->id;
        if (model.is_relied_on(id)) {
            trace(": not while others rely on it");
            return;
        }
        model.shut(id);
        calling([&] { contexts_[i].reset(); });
        require(model.depart(id), "who set off later arrived, and who set off earlier did not");
        open_context(i);
    }

    std::size_t poll_one(place& c) {
        c.context->restart();
        std::size_t ran = 0;
        bool threw = false;
        try {
            ran = c.context->poll_one();
        } catch (const thrown_by_handler&) {
            ran = 1;
            threw = true;
        }
        require(threw == std::exchange(throws_, false), "an exception of a handler got lost");
        polled(c);
        return ran;
    }

    template <typename Model>
    void poll(const Model& model) {
        for (bool more = true; more;) {
            more = false;
            for (auto& c : contexts_) {
                while (poll_one(*c) != 0) {
                    check();
                    more = true;
                }
                more = more || is_anybody_due(*c);
            }
        }
        for (const auto& [way, submitted] : model.lanes)
            require(
                submitted.empty(), "operation ", submitted.empty() ? 0 : submitted.front(),
                " should have been called");
    }

    // Operations.

    static deed deed_of(std::size_t i) {
        static constexpr deed deeds[16] = {
            deed::keep, deed::keep,  deed::keep,       deed::keep, deed::drop,   deed::drop,
            deed::fail, deed::again, deed::end_signal, deed::emit, deed::cancel, deed::end_object,
            deed::drop, deed::keep,  deed::keep,       deed::keep};
        return deeds[i];
    }

    // Where a handler runs: in the object's context, in a strand there, in the other context,
    // inline.
    static constexpr const char* wheres[] = {"", " in strand", " elsewhere", " immediately"};
    static traveller traveller_to(std::size_t where, std::size_t home, const place& other) {
        const lane at_home{home, home * lane::places};
        if (where == 1)
            return {lane{home, home * lane::places + 1}};
        if (where == 2)
            return {lane{home, other.id * lane::places}};
        if (where == 3)
            return {at_home, lane{home, home * lane::places + lane::inline_place}};
        return {at_home};
    }
    template <typename Handler, typename Start>
    void start_to(std::size_t where, place* home, place& other, Handler h, Start start) {
        if (where == 1)
            start(asio::bind_executor(home->strand, std::move(h)));
        else if (where == 2)
            start(asio::bind_executor(
                asio::any_io_executor(other.context->get_executor()), std::move(h)));
#if BOOST_VERSION >= 108200
        else if (where == 3)
            start(asio::bind_immediate_executor(
                support::minimal_executor{&ran_inline_}, std::move(h)));
#endif
        else
            start(std::move(h));
    }

    template <typename Model>
    void arrives(Model& model, std::size_t id) const {
        auto& o = model.operations[id];
        require(o.at == stage::submitted, "operation ", id, " is called, and should not");
        auto& submitted = model.lanes[o.way];
        require(submitted.front() == id, "operation ", id, " is called before ", submitted.front());
        require(
            !inside_ || o.way.is_inline(), "operation ", id,
            " is called from inside a function of the library");
        submitted.pop_front();
        o.at = stage::called;
    }

    void act(std::size_t id, deed then, bool is_inline, std::size_t signal) {
        const std::size_t i = id % objects;
        switch (then) {
        case deed::fail:
            if (is_inline)
                break;
            throws_ = true;
            throw thrown_by_handler();
        case deed::again:
            trace(" [");
            start_another(i);
            trace(']');
            break;
        case deed::end_signal:
            trace(" [");
            change_signal(signal % signals_.size(), 1);
            trace(']');
            break;
        case deed::emit:
            trace(" [");
            emit(id % signals_.size(), 1);
            trace(']');
            break;
        case deed::cancel:
            trace(" [");
            cancel(i);
            trace(']');
            break;
        case deed::end_object:
            trace(" [");
            // An inline handler must not destroy the object whose function is running.
            if (!is_inline)
                destroy(i);
            trace(']');
            break;
        default:
            break;
        }
    }

    // Signals.

    asio::cancellation_slot slot_of(std::size_t signal) {
        return signal < signals_.size() && signals_[signal] ? signals_[signal]->slot()
                                                            : asio::cancellation_slot();
    }
    /// The operation waits, and this signal can cancel it.
    void arm(std::size_t signal, std::size_t id) {
        if (signal < signals_.size() && signals_[signal])
            armed_[signal] = id;
    }

    void emit(std::size_t i, std::size_t type) {
        trace("emit signal ", i, " of type ", type);
        if (!signals_[i])
            return;
        if (type != 0 && armed_[i] != none)
            fire(armed_[i]);
        calling([&] { signals_[i]->emit(static_cast<asio::cancellation_type>(type)); });
    }

    void change_signal(std::size_t i, std::size_t how) {
        static constexpr const char* hows[] = {"clear", "destroy", "renew"};
        trace(hows[how], " signal ", i);
        armed_[i] = none;
        calling([&] {
            if (how == 0 && signals_[i])
                signals_[i]->slot().clear();
            if (how != 0)
                signals_[i].reset();
            if (how == 2)
                signals_[i].emplace();
        });
    }

    static constexpr std::size_t objects = 3;

    bool ending_ = false; // from here on, results are not compared any more
    std::array<std::unique_ptr<place>, 2> contexts_;

private:
    static std::string text(const char* s) {
        return s;
    }
    static std::string text(const std::string& s) {
        return s;
    }
    template <typename T>
    static std::string text(const T& n) {
        return std::to_string(n);
    }

    std::ostream* trace_;
    bool inside_ = false; // whether a function of the library is running
    bool throws_ = false; // a handler threw, and run() has not rethrown yet
    [[maybe_unused]] int ran_inline_ = 0;
    std::size_t last_context_ = 0;
    std::array<std::optional<asio::cancellation_signal>, 3> signals_;
    std::array<std::size_t, 3> armed_{none, none, none}; // the operation that each signal cancels
};

/// Returns an equivalent sequence of printable characters for any bytes.
inline std::string printable(std::string_view bytes) {
    std::string result;
    for (std::size_t i = 0; i + machine::step_size <= bytes.size(); i += machine::step_size) {
        result += machine::letter_of(bytes[i]);
        for (std::size_t k = 1; k < machine::step_size; ++k)
            result += static_cast<char>('0' + static_cast<unsigned char>(bytes[i + k]) % 16);
    }
    return result;
}

} // namespace sequences
