asio_semaphore_tests(stress TIMEOUT 300
    soak.cpp)

# Once more with threads that hesitate at every lock and atomic of the state layer. This replaces a
# header of the library, hence works only with the library's headers.
if(ASIO_SEMAPHORE_DEVELOPMENT_TARGET STREQUAL asio_semaphore::asio_semaphore)
    add_executable(test_stress_soak_nervous stress/soak.cpp)
    target_include_directories(test_stress_soak_nervous BEFORE PRIVATE stress/nervous)
    target_include_directories(test_stress_soak_nervous PRIVATE ${PROJECT_SOURCE_DIR}/test)
    target_link_libraries(test_stress_soak_nervous PRIVATE test_main asio_semaphore_development)
    target_precompile_headers(test_stress_soak_nervous REUSE_FROM test_precompiled)
    add_dependencies(tests_long test_stress_soak_nervous)
    add_test(NAME stress/soak_nervous
        COMMAND test_stress_soak_nervous --log_level=test_suite --catch_system_errors=no)
    set_tests_properties(stress/soak_nervous PROPERTIES LABELS "stress;long" TIMEOUT 300)
endif()
