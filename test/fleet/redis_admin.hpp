// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A test's own connection to a server, synchronous, by hiredis: to look into keys, to configure and
// to disturb. Says what it wants and waits for the answer; or sends many at once (append, take).

#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/time.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

/// What a server answers.
struct redis_value {
    enum kind { nil, number, text, list, error } what = nil;
    std::int64_t integer = 0;
    std::string string; // text, error
    std::vector<redis_value> items;

    bool is_error() const noexcept { return what == error; }
    /// An error's first word.
    std::string error_word() const {
        return is_error() ? string.substr(0, string.find(' ')) : std::string();
    }
    std::int64_t as_number() const {
        return what == number ? integer : what == text ? std::stoll(string) : 0;
    }
    const redis_value& operator[](std::size_t i) const { return items.at(i); }
    std::size_t size() const noexcept { return items.size(); }

    friend bool operator==(const redis_value& a, const redis_value& b) {
        return a.what == b.what && a.integer == b.integer && a.string == b.string &&
               a.items == b.items;
    }

    friend std::ostream& operator<<(std::ostream& out, const redis_value& v) {
        switch (v.what) {
        case nil:
            return out << "nil";
        case number:
            return out << v.integer;
        case text:
            return out << '"' << v.string << '"';
        case error:
            return out << "error: " << v.string;
        case list:
            break;
        }
        out << '[';
        for (std::size_t i = 0; i < v.items.size(); ++i)
            out << (i != 0 ? " " : "") << v.items[i];
        return out << ']';
    }
};

class redis_admin {
public:
    explicit redis_admin(std::uint16_t port) {
        ::timeval patience{};
        patience.tv_sec = 30;
        context_.reset(::redisConnectWithTimeout("127.0.0.1", port, patience));
        if (!context_ || context_->err != 0)
            throw std::runtime_error("no connection to the server");
        ::redisSetTimeout(context_.get(), patience);
    }

    template <typename... Words>
    redis_value command(const Words&... words) {
        return command(std::vector<std::string>{to_word(words)...});
    }
    redis_value command(const std::vector<std::string>& words) {
        append(words);
        return take();
    }

    /// Sent with the next take or send.
    void append(const std::vector<std::string>& words) {
        std::vector<const char*> pointers;
        std::vector<std::size_t> sizes;
        for (const auto& word : words) {
            pointers.push_back(word.data());
            sizes.push_back(word.size());
        }
        ::redisAppendCommandArgv(
            context_.get(), static_cast<int>(words.size()), pointers.data(), sizes.data());
    }

    /// What was appended, now: the server works on it meanwhile.
    void send() {
        for (int is_done = 0; is_done == 0;) {
            if (::redisBufferWrite(context_.get(), &is_done) != REDIS_OK)
                throw std::runtime_error("the connection has ended");
        }
    }

    /// The next answer, or message of a subscription.
    redis_value take() {
        void* reply = nullptr;
        if (::redisGetReply(context_.get(), &reply) != REDIS_OK)
            throw std::runtime_error(std::string("the connection has ended: ") + context_->errstr);
        redis_value value = to_value(*static_cast<::redisReply*>(reply));
        ::freeReplyObject(reply);
        return value;
    }

    /// What has arrived by now, of a connection that subscribes; waits for at most so many
    /// milliseconds for the first.
    std::vector<redis_value> take_arrived(int patience = 0) {
        std::vector<redis_value> values;
        for (;;) {
            void* reply = nullptr;
            if (::redisGetReplyFromReader(context_.get(), &reply) != REDIS_OK)
                throw std::runtime_error("what the server sends cannot be read");
            if (reply != nullptr) {
                values.push_back(to_value(*static_cast<::redisReply*>(reply)));
                ::freeReplyObject(reply);
                continue;
            }
            ::pollfd readable{context_->fd, POLLIN, 0};
            if (::poll(&readable, 1, values.empty() ? patience : 0) != 1)
                return values;
            if (::redisBufferRead(context_.get()) != REDIS_OK)
                throw std::runtime_error("the connection has ended");
        }
    }

    /// A field of INFO, such as "uptime_in_seconds".
    std::string info(std::string_view section, std::string_view field) {
        const std::string all = command("INFO", section).string;
        const std::string start = "\n" + std::string(field) + ":";
        const auto found = all.find(start);
        if (found == std::string::npos)
            return {};
        const auto from = found + start.size();
        return all.substr(from, all.find('\r', from) - from);
    }

    /// How often the server has executed a command (by INFO commandstats), such as "evalsha".
    std::uint64_t calls_of(std::string_view name) {
        const std::string text = info("commandstats", "cmdstat_" + std::string(name));
        const auto found = text.find("calls=");
        return found == std::string::npos ? 0 : std::stoull(text.substr(found + 6));
    }

    /// A hash as a map.
    std::map<std::string, std::string> hash(std::string_view key) {
        return pairs(command("HGETALL", key));
    }
    /// A sorted set: member -> score.
    std::map<std::string, std::string> scores(std::string_view key) {
        return pairs(command("ZRANGE", key, "0", "-1", "WITHSCORES"));
    }

    static std::map<std::string, std::string> pairs(const redis_value& flat) {
        std::map<std::string, std::string> all;
        for (std::size_t i = 0; i + 1 < flat.size(); i += 2)
            all[flat[i].string] = flat[i + 1].string;
        return all;
    }

private:
    static std::string to_word(std::string_view word) { return std::string(word); }
    static std::string to_word(std::int64_t number) { return std::to_string(number); }

    static redis_value to_value(const ::redisReply& reply) {
        redis_value value;
        switch (reply.type) {
        case REDIS_REPLY_INTEGER:
            value.what = redis_value::number;
            value.integer = reply.integer;
            break;
        case REDIS_REPLY_STRING:
        case REDIS_REPLY_STATUS:
            value.what = redis_value::text;
            value.string.assign(reply.str, static_cast<std::size_t>(reply.len));
            break;
        case REDIS_REPLY_ERROR:
            value.what = redis_value::error;
            value.string.assign(reply.str, static_cast<std::size_t>(reply.len));
            break;
        case REDIS_REPLY_ARRAY:
            value.what = redis_value::list;
            for (std::size_t i = 0; i < reply.elements; ++i)
                value.items.push_back(to_value(*reply.element[i]));
            break;
        default:
            break;
        }
        return value;
    }

    struct free_context {
        void operator()(::redisContext* c) const noexcept { ::redisFree(c); }
    };
    std::unique_ptr<::redisContext, free_context> context_;
};

} // namespace test
