// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Prints a text when a program dies during a test, so that the test can be repeated. Covers
// assertions, signals, std::terminate, errors that a sanitizer finds, and tests that do not end.

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>

#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SUPPORT_HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SUPPORT_HAS_SANITIZER 1
#endif
#endif
#if defined(SUPPORT_HAS_SANITIZER)
#include <sanitizer/common_interface_defs.h>
#endif

namespace support {

/// Works during its lifetime. Create it inside a test case. Outside the test case, Boost.Test
/// handles signals itself; after the text has been printed, its handler runs too.
class last_words {
public:
    last_words() noexcept {
        struct sigaction action {};
        action.sa_handler = &died;
        action.sa_flags = SA_ONSTACK;
        for (std::size_t i = 0; i < signals.size(); ++i)
            ::sigaction(signals[i], &action, &before()[i]);
#if defined(SUPPORT_HAS_SANITIZER)
        __sanitizer_set_death_callback(&speak);
#endif
    }
    last_words(const last_words&) = delete;
    last_words& operator=(const last_words&) = delete;
    ~last_words() {
        ::alarm(0);
        text()[0] = '\0';
        for (std::size_t i = 0; i < signals.size(); ++i)
            ::sigaction(signals[i], &before()[i], nullptr);
    }

    /// Sets the text. A test that then takes longer than @p seconds counts as endless. The text is
    /// in static memory, where no failing allocator and no damaged heap can affect it.
    static void are(const char* words, unsigned seconds = 20) noexcept {
        std::snprintf(text().data(), text().size(), "%s", words);
        ::alarm(seconds);
    }
    static void are(const std::string& words, unsigned seconds = 20) noexcept {
        are(words.c_str(), seconds);
    }

private:
    // A sanitizer handles the signals of memory errors itself, and reports more about them.
#if defined(SUPPORT_HAS_SANITIZER)
    static constexpr std::array signals{SIGABRT, SIGALRM, SIGTERM};
#else
    static constexpr std::array signals{SIGABRT, SIGALRM, SIGTERM, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
#endif

    static std::array<char, 8192>& text() noexcept {
        static std::array<char, 8192> words{};
        return words;
    }
    static std::array<struct sigaction, signals.size()>& before() noexcept {
        static std::array<struct sigaction, signals.size()> actions{};
        return actions;
    }

    static void speak() {
        if (text()[0] != '\0') {
            std::fputs("\nThe program dies; ", stderr);
            std::fputs(text().data(), stderr);
            std::fputs("\n", stderr);
        }
        std::fflush(nullptr);
        text()[0] = '\0'; // once
    }
    static void died(int signal) {
        speak();
        for (std::size_t i = 0; i < signals.size(); ++i) {
            if (signals[i] == signal)
                ::sigaction(signal, &before()[i], nullptr);
        }
        // The raised signal is delivered on return. A faulting instruction faults again by itself,
        // so the previous handler sees its address.
        if (signal == SIGABRT || signal == SIGALRM || signal == SIGTERM)
            std::raise(signal);
    }
};

} // namespace support
