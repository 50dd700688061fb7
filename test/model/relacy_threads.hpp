// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The threads of the state layer, implemented with Relacy. Relacy explores the interleavings of
// threads, and also the values that a load may return under the weak memory model of C++11. It sees
// data races only on its own variables. Therefore each atomic and mutex has such a variable, which
// its operations read and its destructor writes. A destructor that does not happen after every use
// is then a data race.
//
// The limits of the searches: in a systematic search a load returns the newest value or the one
// before, in a random search also the one before that. A compare-exchange that fails has read the
// newest value. Later stores of the same thread belong to a release sequence, as until C++17.
//
// The systematic searches take three shortcuts. They leave out only orders of steps that cannot
// change the result:
//   - A thread starts together with its first step.
//   - A mutex is unlocked together with the step before. Until then the other threads can only wait
//     for it, or do what they can also do afterwards.
//   - `waiting_`, which is used only under its mutex, is used together with the step before.

#include <asio_semaphore/detail/state/impl/semaphore_state.ipp>
#include <asio_semaphore/detail/state/semaphore_state.hpp>

#include <boost/container/static_vector.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <cerrno>
#pragma push_macro("errno")
#include <relacy/relacy.hpp>

// Relacy defines macros with the names of keywords and functions.
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#pragma pop_macro("errno")
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst

namespace asio_semaphore::model {

// Gives access to a protected member of Relacy: an explicit instantiation may name it.
struct disable_alloc_tag {
    using type = int rl::context::*;
    friend type member_of(disable_alloc_tag);
};
template <typename Tag, typename Tag::type Member>
struct opened {
    friend typename Tag::type member_of(Tag) { return Member; }
};
template struct opened<disable_alloc_tag, &rl::context::disable_alloc_>;

/// Allocates plain memory until the call with -n. Otherwise Relacy would explore the reuse of every
/// block.
inline void plain_memory(int n) {
    rl::ctx().*member_of(disable_alloc_tag()) += n;
}

enum class operation_kind : unsigned char {
    load,
    store,
    exchange,
    compare_exchange,
    add,
    subtract,
    set_bits,
    clear_bits
};

/// The place of a call to an atomic in the library, which a default argument records.
struct call_site {
    const char* file;
    const char* function;
    int line;

    static constexpr call_site here(
        const char* file = __builtin_FILE(), const char* function = __builtin_FUNCTION(),
        int line = __builtin_LINE()) noexcept {
        return {file, function, line};
    }
    bool is_in(const char* name) const noexcept { return std::strcmp(function, name) == 0; }
};

/// A call with a memory order that is stronger than relaxed.
struct ordered_call {
    call_site site;
    operation_kind what;
    std::memory_order order;
};

/// All such calls that were made, each once.
inline boost::container::static_vector<ordered_call, 64>& ordered_calls() {
    static boost::container::static_vector<ordered_call, 64> calls;
    return calls;
}

/// A memory order of the state layer at one place in the code, and the weaker order that replaces
/// it to test whether it is needed.
struct weakening {
    const char* file;
    const char* function;
    operation_kind what;
    std::memory_order from, to;
    const char* scenario; // the scenario that has to fail

    bool is_of(const ordered_call& call) const {
        const std::size_t all = std::strlen(call.site.file), own = std::strlen(file);
        return call.what == what && call.order == from && call.site.is_in(function) && own < all &&
               call.site.file[all - own - 1] == '/' &&
               std::strcmp(call.site.file + all - own, file) == 0;
    }
};

inline const weakening*& active_weakening() {
    static const weakening* active = nullptr;
    return active;
}

inline std::memory_order order_of(const ordered_call& call) {
    if (call.order == std::memory_order::relaxed)
        return call.order;
    auto& calls = ordered_calls();
    if (std::none_of(calls.begin(), calls.end(), [&](const ordered_call& c) {
            return c.site.line == call.site.line && c.what == call.what &&
                   std::strcmp(c.site.file, call.site.file) == 0;
        }))
        calls.push_back(call);
    const weakening* const w = active_weakening();
    return w != nullptr && w->is_of(call) ? w->to : call.order;
}

/// Whether the shortcuts are taken.
inline bool& short_cuts() {
    static bool taken = true;
    return taken;
}

constexpr std::size_t most_threads = 4;

/// The data of one execution.
// Relacy's data for an atomic or a mutex lives until the end of the execution, so that Relacy can
// detect a late use. It is created and deleted inside the execution, by Relacy's memory manager. A
// failed execution does not delete it.
struct execution {
    std::vector<std::shared_ptr<void>> arena;
    struct {
        bool starts = false;                  // whether its first step is still to come
        int locks = 0;                        // how many it holds
        std::pair<int, std::uint64_t> latest; // the last result that it saw, and its line
        std::uint64_t results = 0;            // a hash of all results that it saw
    } threads[most_threads];
};
inline execution*& now() {
    static execution* current = nullptr;
    return current;
}
inline auto& this_thread() {
    return now()->threads[static_cast<std::size_t>(rl::thread_index())];
}

template <typename T>
T* in_arena() {
    auto made = std::make_shared<T>();
    T* const address = made.get();
    now()->arena.push_back(std::move(made));
    return address;
}

/// Called before the first step of a thread, and after the last one.
inline void start_thread() {
    this_thread() = {};
    if (short_cuts()) {
        rl::ctx().disable_preemption();
        this_thread().starts = true;
    }
}
inline void after_first_step() {
    if (std::exchange(this_thread().starts, false))
        rl::ctx().enable_preemption();
}

/// One step of a thread. At its beginning, the thread may have to wait for its turn.
class step {
public:
    explicit step(bool waits_for_its_turn = true) : waits_(waits_for_its_turn || !short_cuts()) {
        if (!waits_)
            rl::ctx().disable_preemption();
    }
    step(const step&) = delete;
    step& operator=(const step&) = delete;
    ~step() {
        if (!waits_)
            rl::ctx().enable_preemption();
        after_first_step();
    }

    /// Records the result of the step. A repeated result in a loop does not count again.
    template <typename T>
    T led_to(T result, int line = 0) const {
        std::uint64_t seen = 0;
        if constexpr (std::is_pointer_v<T>) // addresses differ between executions
            seen = result != nullptr;
        else
            seen = static_cast<std::uint64_t>(result);
        auto& all = this_thread();
        const auto latest = std::exchange(all.latest, std::pair(line, seen));
        if (line == 0 || latest != all.latest)
            all.results = (all.results ^ seen) * 0x100000001b3u;
        return result;
    }

private:
    const bool waits_;
};

inline std::size_t& execution_number() {
    static std::size_t count = 0;
    return count;
}

class lifeline {
public:
    lifeline() : alive_(in_arena<rl::var<int>>()) { (*alive_)(info("construct")) = 1; }
    lifeline(const lifeline&) = delete;
    lifeline& operator=(const lifeline&) = delete;
    ~lifeline() { (*alive_)(info("destroy")) = 0; }

    void use(const char* what) const {
        const int alive = static_cast<const rl::var<int>&>(*alive_)(info(what));
        RL_ASSERT(alive == 1);
    }
    static rl::debug_info info(const char* what) { return {what, "state layer", 0}; }

private:
    rl::var<int>* alive_;
};

class relacy_mutex {
public:
    void lock() {
        const step own;
        life_.use("lock");
        mutex_->lock(lifeline::info("lock"));
        ++this_thread().locks;
        own.led_to(++times_);
    }
    void unlock() {
        const step own(false);
        life_.use("unlock");
        --this_thread().locks;
        mutex_->unlock(lifeline::info("unlock"));
    }
    void let_others_in() {
        unlock();
        lock();
    }

private:
    rl::mutex* mutex_ = in_arena<rl::mutex>();
    unsigned times_ = 0;
    lifeline life_;
};

template <typename T>
class relacy_atomic {
public:
    relacy_atomic() : relacy_atomic(T()) {}
    relacy_atomic(T value) { atomic_->store(value, rl::mo_relaxed, lifeline::info("initialise")); }
    relacy_atomic(const relacy_atomic&) = delete;
    relacy_atomic& operator=(const relacy_atomic&) = delete;

    T load(std::memory_order order, call_site site = call_site::here()) const {
        const step own(!site.is_in("waiting") || !is_guarded());
        life_.use("load");
        const T value =
            atomic_->load(converted({site, operation_kind::load, order}), lifeline::info("load"));
        return own.led_to(value, site.line);
    }
    void store(T value, std::memory_order order, call_site site = call_site::here()) {
        const bool of_waiting =
            std::is_same_v<T, std::size_t> && (site.is_in("enqueue") || site.is_in("take"));
        const step own(!of_waiting || !is_guarded());
        life_.use("store");
        atomic_->store(
            value, converted({site, operation_kind::store, order}), lifeline::info("store"));
    }
    T exchange(T value, std::memory_order order, call_site site = call_site::here()) {
        const step own;
        life_.use("exchange");
        return own.led_to(atomic_->exchange(
            value, converted({site, operation_kind::exchange, order}), lifeline::info("exchange")));
    }
    // Without spurious failures, which the other explorer covers.
    bool compare_exchange_weak(
        T& expected, T next, std::memory_order success, std::memory_order failure,
        call_site site = call_site::here()) {
        const step own;
        life_.use("compare-exchange");
        RL_ASSERT(failure == std::memory_order::relaxed); // otherwise weakenings would need it too
        const bool done = own.led_to(atomic_->compare_exchange(
            rl::bool_t<false>(), expected, next,
            converted({site, operation_kind::compare_exchange, success}), rl::mo_relaxed,
            lifeline::info("compare-exchange")));
        own.led_to(expected);
        return done;
    }
    T fetch_add(T n, std::memory_order order, call_site site = call_site::here()) {
        const step own;
        life_.use("add");
        return own.led_to(atomic_->fetch_add(
            n, converted({site, operation_kind::add, order}), lifeline::info("add")));
    }
    T fetch_sub(T n, std::memory_order order, call_site site = call_site::here()) {
        const step own;
        life_.use("subtract");
        return own.led_to(atomic_->fetch_sub(
            n, converted({site, operation_kind::subtract, order}), lifeline::info("subtract")));
    }
    T fetch_or(T bits, std::memory_order order, call_site site = call_site::here()) {
        const step own;
        life_.use("or");
        return own.led_to(atomic_->fetch_or(
            bits, converted({site, operation_kind::set_bits, order}), lifeline::info("or")));
    }
    T fetch_and(T bits, std::memory_order order, call_site site = call_site::here()) {
        const step own;
        life_.use("and");
        return own.led_to(atomic_->fetch_and(
            bits, converted({site, operation_kind::clear_bits, order}), lifeline::info("and")));
    }

private:
    // A scenario that calls waiting() would need the steps that the shortcuts leave out.
    static bool is_guarded() {
        RL_ASSERT(this_thread().locks > 0);
        return true;
    }

    static rl::memory_order converted(const ordered_call& call) {
        switch (order_of(call)) {
        case std::memory_order::relaxed:
            return rl::mo_relaxed;
        case std::memory_order::consume:
        case std::memory_order::acquire:
            return rl::mo_acquire;
        case std::memory_order::release:
            return rl::mo_release;
        case std::memory_order::acq_rel:
            return rl::mo_acq_rel;
        default:
            return rl::mo_seq_cst;
        }
    }

    rl::atomic<T>* atomic_ = in_arena<rl::atomic<T>>();
    lifeline life_;
};

struct relacy_threads {
    using mutex = relacy_mutex;
    template <typename T>
    using atomic = relacy_atomic<T>;

    static constexpr int at_a_time = 1;
    static void back_off(unsigned) { rl::yield(1, lifeline::info("back off")); }
    static void let_winner_go_on() noexcept {}

    template <typename T>
    static T*& thread_pointer() {
        static std::array<T*, most_threads> pointers{};
        static std::size_t of_execution = 0;
        // A failed execution has not reset its pointers.
        if (std::exchange(of_execution, execution_number()) != execution_number())
            pointers.fill(nullptr);
        return pointers[static_cast<std::size_t>(rl::thread_index())];
    }
};

} // namespace asio_semaphore::model

// Relacy replaces the global operators without a size, so those with a size have to be replaced
// too. Freed memory is kept unchanged for a while, so that a late access finds the lifeline, which
// detects it.
void operator delete(void* p, std::size_t) noexcept {
    static std::array<void*, 64> latest{};
    static std::size_t next = 0;
    ::operator delete(std::exchange(latest[next++ % latest.size()], p));
}
void operator delete[](void* p, std::size_t) noexcept {
    ::operator delete[](p);
}
