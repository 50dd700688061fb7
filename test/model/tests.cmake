set(model_explorer_tests scheduler.cpp pairs.cpp triples.cpp)
asio_semaphore_tests(model ${model_explorer_tests} TIMEOUT 600)
foreach(file IN LISTS model_explorer_tests)
    cmake_path(GET file STEM name)
    # The library's assertions fail the schedule in which they fail.
    target_compile_definitions(test_model_${name} PRIVATE BOOST_ENABLE_ASSERT_HANDLER)
    # Hundreds of thousands of schedules: optimised in every build.
    target_compile_options(test_model_${name} PRIVATE -O1)
endforeach()

# Lifetime errors fail the schedule in which they happen. A build that brings sanitizers of its own
# keeps those.
if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    foreach(name IN ITEMS scheduler pairs)
        target_compile_options(test_model_${name} PRIVATE -fsanitize=address,undefined)
        target_link_options(test_model_${name} PRIVATE -fsanitize=address,undefined)
    endforeach()
endif()
