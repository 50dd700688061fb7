// Must not compile, and say why: an operation that cannot fail cannot say that it got no permit.

#include <asio_semaphore/with_permit.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

void refused(boost::asio::io_context& context, asio_semaphore::async_semaphore& sem) {
    boost::asio::post(context, asio_semaphore::with_permit(sem, [] {}));
}
