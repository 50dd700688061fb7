// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/test/unit_test.hpp>

#include <exception>
#include <memory>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using asio::ip::tcp;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using asio_semaphore::with_permit;
using boost::system::error_code;

//! [client]
awaitable<std::string>
ask(ssl::context& tls, std::string host, std::string port, std::string question,
    async_semaphore& limit) {
    // One permit for all of it: connecting and the handshake load the server too.
    const permit held = co_await limit.async_acquire_permit(use_awaitable);
    tcp::resolver resolver(co_await asio::this_coro::executor);
    const auto endpoints = co_await resolver.async_resolve(host, port, use_awaitable);

    ssl::stream<tcp::socket> stream(resolver.get_executor(), tls);
    stream.set_verify_callback(ssl::host_name_verification(host));
    if (!SSL_set_tlsext_host_name(stream.native_handle(), host.c_str()))
        throw boost::system::system_error(asio::error::invalid_argument);
    co_await asio::async_connect(stream.next_layer(), endpoints, use_awaitable);
    co_await stream.async_handshake(ssl::stream_base::client, use_awaitable);

    co_await asio::async_write(stream, asio::buffer(question), use_awaitable);
    std::string answer;
    co_await asio::async_read_until(stream, asio::dynamic_buffer(answer), '\n', use_awaitable);
    error_code ec; // the answer is complete, however the connection ends
    co_await stream.async_shutdown(redirect_error(use_awaitable, ec));
    co_return answer;
}
//! [client]

template <auto Free>
struct freed {
    template <typename T>
    void operator()(T* object) const {
        Free(object);
    }
};
using private_key = std::unique_ptr<EVP_PKEY, freed<&EVP_PKEY_free>>;
using certificate = std::unique_ptr<X509, freed<&X509_free>>;

certificate signed_by_itself(EVP_PKEY* key, const char* host) {
    certificate made(X509_new());
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
    X509_set_pubkey(made.get(), key);
    X509_NAME* name = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(
        name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(host), -1, -1, 0);
    X509_set_issuer_name(made.get(), name);
    BOOST_REQUIRE(X509_sign(made.get(), key, EVP_sha256()) > 0);
    return made;
}

/// Answers each line with itself. At most `handshakes` of them are under way at a time.
class tls_server {
public:
    tls_server(asio::io_context& context, int handshakes) :
        context_(context),
        tls_(ssl::context::tls_server),
        handshakes_(context, handshakes, handshakes),
        acceptor_(context, {asio::ip::address_v4::loopback(), 0}),
        key_(EVP_EC_gen("P-256")),
        certificate_(signed_by_itself(key_.get(), "localhost")) {
        BOOST_REQUIRE(SSL_CTX_use_certificate(tls_.native_handle(), certificate_.get()) == 1);
        BOOST_REQUIRE(SSL_CTX_use_PrivateKey(tls_.native_handle(), key_.get()) == 1);
        asio::co_spawn(context, listen(), asio::detached);
    }

    std::string port() const { return std::to_string(acceptor_.local_endpoint().port()); }
    void trust_it(ssl::context& client) const {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(client.native_handle()), certificate_.get());
    }
    void stop() { acceptor_.close(); }

private:
    awaitable<void> listen() {
        for (;;) {
            tcp::socket client = co_await acceptor_.async_accept(use_awaitable);
            asio::co_spawn(context_, serve(std::move(client)), asio::detached);
        }
    }

    awaitable<void> serve(tcp::socket client) {
        ssl::stream<tcp::socket> stream(std::move(client), tls_);
        //! [handshake]
        co_await stream.async_handshake(
            ssl::stream_base::server, with_permit(handshakes_, use_awaitable));
        //! [handshake]
        std::string line;
        co_await asio::async_read_until(stream, asio::dynamic_buffer(line), '\n', use_awaitable);
        co_await asio::async_write(stream, asio::buffer(line), use_awaitable);
        co_await stream.async_shutdown(use_awaitable);
    }

    asio::io_context& context_;
    ssl::context tls_;
    async_semaphore handshakes_;
    tcp::acceptor acceptor_;
    private_key key_;
    certificate certificate_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(doc_recipes_tls)

BOOST_AUTO_TEST_CASE(a_permit_covers_connection_handshake_and_answer) {
    asio::io_context context;
    tls_server server(context, 1);
    async_semaphore limit(context, 2, 2);
    //! [context]
    ssl::context tls(ssl::context::tls_client);
    tls.set_default_verify_paths();
    tls.set_verify_mode(ssl::verify_peer); // without this, no certificate is checked
    //! [context]
    server.trust_it(tls);
    int answered = 0;
    for (int i = 0; i < 6; ++i)
        asio::co_spawn(
            context, ask(tls, "localhost", server.port(), "well?\n", limit),
            [&](std::exception_ptr e, const std::string& answer) {
                BOOST_TEST(!e);
                answered += answer == "well?\n";
                if (answered == 6)
                    server.stop();
            });
    for (int i = 0; i < 1 + 6; ++i) // the server listens, the clients ask for permits
        context.run_one();
    BOOST_TEST(limit.available() == 0);
    BOOST_TEST(limit.waiting() == 4u);
    context.run();
    BOOST_TEST(answered == 6);
    BOOST_TEST(limit.available() == 2);
}

BOOST_AUTO_TEST_CASE(an_untrusted_certificate_costs_no_permit) {
    asio::io_context context;
    tls_server server(context, 1);
    async_semaphore limit(context, 1, 1);
    ssl::context tls(ssl::context::tls_client);
    tls.set_verify_mode(ssl::verify_peer);
    bool refused = false;
    asio::co_spawn(
        context, ask(tls, "localhost", server.port(), "well?\n", limit),
        [&](std::exception_ptr e, const std::string&) {
            refused = e != nullptr;
            server.stop();
        });
    context.run();
    BOOST_TEST(refused);
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
