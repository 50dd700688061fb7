#pragma once

// The seam of the state layer over Relacy, which explores not only the interleavings of threads but
// also what loads may return under the weak memory model of C++11. Relacy sees data races only on
// its own variables. Therefore each atomic and mutex has one that its operations read and its
// destructor writes: a destruction that does not happen after every use is a data race.

#include <asio_semaphore/detail/semaphore_state.hpp>
#include <asio_semaphore/impl/semaphore_state.ipp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <relacy/relacy.hpp>

// Relacy redefines words of the language.
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst

namespace asio_semaphore::model {

// A protected member of Relacy's: an explicit instantiation may name it.
struct disable_alloc_tag {
    using type = int rl::context::*;
    friend type member_of(disable_alloc_tag);
};
template <typename Tag, typename Tag::type Member>
struct opened {
    friend typename Tag::type member_of(Tag) { return Member; }
};
template struct opened<disable_alloc_tag, &rl::context::disable_alloc_>;

/// Plain memory until n is taken back: Relacy would explore, for every block, when it is reused.
inline void plain_memory(int n) {
    rl::ctx().*member_of(disable_alloc_tag()) += n;
}

enum class operation_kind : unsigned char { load, store, compare_exchange, subtract };

/// One memory order of the state layer, and what it is replaced by in a trial of whether it is
/// needed. The type tells which atomic: the word, the lifetime, a link's target, a registry.
struct weakening {
    const char* where;
    operation_kind kind;
    std::size_t size; // of the atomic's type
    bool pointer;
    std::memory_order from, to;
    const char* scenario; // fails then
};

inline const weakening*& active_weakening() {
    static const weakening* active = nullptr;
    return active;
}

// What Relacy keeps for an atomic or a mutex outlives it until the end of the iteration, so that
// Relacy can tell what uses it too late. Made and deleted inside of an iteration, by its memory
// manager; left alone by one that fails.
inline std::vector<std::shared_ptr<void>>*& relacy_arena() {
    static std::vector<std::shared_ptr<void>>* arena = nullptr;
    return arena;
}
template <typename T>
T* in_arena() {
    auto made = std::make_shared<T>();
    T* const address = made.get();
    relacy_arena()->push_back(std::move(made));
    return address;
}

inline std::size_t& relacy_iteration() {
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
        life_.use("lock");
        mutex_->lock(lifeline::info("lock"));
    }
    void unlock() {
        life_.use("unlock");
        mutex_->unlock(lifeline::info("unlock"));
    }

private:
    rl::mutex* mutex_ = in_arena<rl::mutex>();
    lifeline life_;
};

template <typename T>
class relacy_atomic {
public:
    relacy_atomic() : relacy_atomic(T()) {}
    relacy_atomic(T value) { atomic_->store(value, rl::mo_relaxed, lifeline::info("initialise")); }
    relacy_atomic(const relacy_atomic&) = delete;
    relacy_atomic& operator=(const relacy_atomic&) = delete;

    T load(std::memory_order order) const {
        life_.use("load");
        return atomic_->load(converted(operation_kind::load, order), lifeline::info("load"));
    }
    void store(T value, std::memory_order order) {
        life_.use("store");
        atomic_->store(value, converted(operation_kind::store, order), lifeline::info("store"));
    }
    // Without spurious failures: the other explorer takes care of those.
    bool compare_exchange_weak(
        T& expected, T next, std::memory_order success, std::memory_order failure) {
        life_.use("compare-exchange");
        // Relacy knows no failure that is stronger than the success.
        if (success == std::memory_order::relaxed)
            success = failure;
        return atomic_->compare_exchange(
            rl::bool_t<false>(), expected, next,
            converted(operation_kind::compare_exchange, success), plain(failure),
            lifeline::info("compare-exchange"));
    }
    T fetch_add(T n, std::memory_order order) {
        life_.use("add");
        return atomic_->fetch_add(n, plain(order), lifeline::info("add"));
    }
    T fetch_sub(T n, std::memory_order order) {
        life_.use("subtract");
        return atomic_->fetch_sub(
            n, converted(operation_kind::subtract, order), lifeline::info("subtract"));
    }
    T fetch_or(T bits, std::memory_order order) {
        life_.use("or");
        return atomic_->fetch_or(bits, plain(order), lifeline::info("or"));
    }
    T fetch_and(T bits, std::memory_order order) {
        life_.use("and");
        return atomic_->fetch_and(bits, plain(order), lifeline::info("and"));
    }

private:
    static rl::memory_order plain(std::memory_order order) {
        switch (order) {
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
    static rl::memory_order converted(operation_kind kind, std::memory_order order) {
        const weakening* const w = active_weakening();
        if (w != nullptr && w->kind == kind && w->size == sizeof(T) &&
            w->pointer == std::is_pointer_v<T> && w->from == order)
            return plain(w->to);
        return plain(order);
    }

    rl::atomic<T>* atomic_ = in_arena<rl::atomic<T>>();
    lifeline life_;
};

struct relacy_threads {
    using mutex = relacy_mutex;
    template <typename T>
    using atomic = relacy_atomic<T>;

    static void yield() { rl::yield(1, lifeline::info("yield")); }

    template <typename T>
    static T*& thread_pointer() {
        static std::array<T*, 8> pointers{};
        static std::size_t of_iteration = 0;
        // An iteration that failed has left its own behind.
        if (std::exchange(of_iteration, relacy_iteration()) != relacy_iteration())
            pointers.fill(nullptr);
        return pointers[static_cast<std::size_t>(rl::thread_index())];
    }
};

} // namespace asio_semaphore::model

// Relacy replaces the global operators without a size; those with one belong to them. What is freed
// stays as it is for a while: an access that comes too late finds the lifeline, which tells.
void operator delete(void* p, std::size_t) noexcept {
    static std::array<void*, 64> latest{};
    static std::size_t next = 0;
    ::operator delete(std::exchange(latest[next++ % latest.size()], p));
}
void operator delete[](void* p, std::size_t) noexcept {
    ::operator delete[](p);
}
