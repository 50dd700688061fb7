# The explorer is one thread. AddressSanitizer turns lifetime errors into failures of the schedule
# in which they happen; a build that brings sanitizers of its own keeps those.
set(model_tests pairs.cpp)
asio_semaphore_tests(model ${model_tests})
foreach(file IN LISTS model_tests)
    cmake_path(GET file STEM name)
    target_compile_definitions(test_model_${name} PRIVATE BOOST_ENABLE_ASSERT_HANDLER)
    if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
        target_compile_options(test_model_${name} PRIVATE -fsanitize=address,undefined -O1)
        target_link_options(test_model_${name} PRIVATE -fsanitize=address,undefined)
    endif()
endforeach()
