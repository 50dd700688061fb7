# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Tests the package as its users see it: every way to consume it, each in an empty build directory; the headers with compilers and
# debuggers; the recipes for package managers. The tests need only the compiler of this build, and no network.

set(package_source ${CMAKE_CURRENT_LIST_DIR})
set(package_build ${CMAKE_CURRENT_BINARY_DIR}/package)
set(package_prefix ${package_build}/prefix)

# The initial cache of all consumers, with settings of this build.
set(parent ${package_build}/parent.cmake)
set(text)
foreach(variable IN ITEMS
    CMAKE_BUILD_TYPE CMAKE_CXX_COMPILER CMAKE_CXX_FLAGS CMAKE_EXE_LINKER_FLAGS CMAKE_SHARED_LINKER_FLAGS CMAKE_MAKE_PROGRAM
    CMAKE_TOOLCHAIN_FILE Boost_DIR)
    if(NOT "${${variable}}" STREQUAL "")
        string(APPEND text "set(${variable} [==[${${variable}}]==] CACHE STRING \"\")\n")
    endif()
endforeach()
string(APPEND text "set(ASIO_SEMAPHORE_SOURCE [==[${PROJECT_SOURCE_DIR}]==] CACHE PATH \"\")\n")
file(CONFIGURE OUTPUT ${parent} CONTENT "${text}" @ONLY)

# package_test(<name> [TIMEOUT <seconds>] COMMAND <command>...)
function(package_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "COMMAND")
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 600) # long enough for a busy machine
    endif()
    add_test(NAME package/${name} COMMAND ${arg_COMMAND})
    set_tests_properties(package/${name} PROPERTIES LABELS package TIMEOUT ${arg_TIMEOUT})
endfunction()

# package_consumer(<name> [SOURCE <directory>] [NEEDS <fixture>...] [OPTIONS -DA=B...] [ARGUMENTS -DA=B...])
function(package_consumer name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "SOURCE" "NEEDS;OPTIONS;ARGUMENTS")
    if(NOT arg_SOURCE)
        set(arg_SOURCE ${package_source}/${name})
    endif()
    list(JOIN arg_OPTIONS "|" options)
    package_test(${name} COMMAND ${CMAKE_COMMAND}
        -Dsource=${arg_SOURCE} -Dbuild=${package_build}/${name} -Dgenerator=${CMAKE_GENERATOR} -Dparent=${parent}
        -Dconfig=$<CONFIG> -Doptions=${options} ${arg_ARGUMENTS} -P ${package_source}/consume.cmake)
    set_tests_properties(package/${name} PROPERTIES FIXTURES_REQUIRED "${arg_NEEDS}")
endfunction()

list(JOIN headers "|" headers_joined)
list(JOIN bodies "|" bodies_joined)
list(JOIN fleet_headers "|" fleet_headers_joined)
list(JOIN fleet_bodies "|" fleet_bodies_joined)

if(ASIO_SEMAPHORE_INSTALL AND ASIO_SEMAPHORE_BUILD_COMPILED)
    package_test(install COMMAND ${CMAKE_COMMAND}
        -Dbuild=${PROJECT_BINARY_DIR} -Dconfig=$<CONFIG> -Dprefix=${package_prefix} -Dsource=${PROJECT_SOURCE_DIR}
        "-Dheaders=${headers_joined}|${bodies_joined}" -P ${package_source}/install.cmake)
    set_tests_properties(package/install PROPERTIES FIXTURES_SETUP installed)
    set(here -DCMAKE_PREFIX_PATH=${package_prefix})

    package_consumer(find_package NEEDS installed OPTIONS ${here} -DEXPECTED_DIR=${package_prefix})
    package_consumer(find_package_build_tree SOURCE ${package_source}/find_package NEEDS installed
        OPTIONS -Dasio_semaphore_DIR=${PROJECT_BINARY_DIR})
    package_consumer(readme NEEDS installed OPTIONS ${here})
    package_consumer(static_in_shared NEEDS installed OPTIONS ${here})
    package_consumer(two_shared_libraries NEEDS installed OPTIONS ${here})
    package_consumer(unknown_component SOURCE ${package_source}/missing_component NEEDS installed
        OPTIONS ${here} -DCOMPONENT=compield
        ARGUMENTS "-Drefuses=installed without a component \"compield\".*\"compiled\"")

    find_program(ASIO_SEMAPHORE_PKG_CONFIG NAMES pkgconf pkg-config)
    if(ASIO_SEMAPHORE_PKG_CONFIG)
        separate_arguments(flags UNIX_COMMAND "${CMAKE_CXX_FLAGS}")
        list(JOIN flags "|" flags)
        get_target_property(boost_include ${first} INTERFACE_INCLUDE_DIRECTORIES)
        package_test(pkg_config COMMAND ${CMAKE_COMMAND}
            -Dprefix=${package_prefix} -Dpkg_config=${ASIO_SEMAPHORE_PKG_CONFIG} -Dcompiler=${CMAKE_CXX_COMPILER}
            -Dflags=${flags} -Dboost=${boost_include} -Dversion=${PROJECT_VERSION} -Ddirectory=${package_build}/pkg_config
            -P ${package_source}/pkg_config.cmake)
        set_tests_properties(package/pkg_config PROPERTIES FIXTURES_REQUIRED installed)
    else()
        message(STATUS "Test package/pkg_config: not there, pkg-config was not found")
    endif()
else()
    message(STATUS "Tests of the installed package: not there, they need ASIO_SEMAPHORE_INSTALL and ASIO_SEMAPHORE_BUILD_COMPILED")
endif()

# Without the compiled library: the contents of a package that does not depend on the architecture.
package_consumer(install_header_only SOURCE ${PROJECT_SOURCE_DIR}
    OPTIONS -DASIO_SEMAPHORE_BUILD_COMPILED=OFF -DASIO_SEMAPHORE_BUILD_TESTS=OFF -DASIO_SEMAPHORE_BUILD_EXAMPLES=OFF
    ARGUMENTS -Dinstalls=${package_prefix}.header_only)
set_tests_properties(package/install_header_only PROPERTIES FIXTURES_SETUP installed_header_only)
package_consumer(missing_component NEEDS installed_header_only
    OPTIONS -DCMAKE_PREFIX_PATH=${package_prefix}.header_only -DCOMPONENT=compiled
    ARGUMENTS "-Drefuses=installed without a component \"compiled\"")

# The fleet is an option, and needs a newer Boost than the library.
if(ASIO_SEMAPHORE_FLEET)
    package_consumer(install_fleet SOURCE ${PROJECT_SOURCE_DIR}
        OPTIONS -DASIO_SEMAPHORE_FLEET=ON -DASIO_SEMAPHORE_BUILD_COMPILED=OFF -DASIO_SEMAPHORE_BUILD_TESTS=OFF
            -DASIO_SEMAPHORE_BUILD_EXAMPLES=OFF
        ARGUMENTS -Dinstalls=${package_prefix}.fleet)
    set_tests_properties(package/install_fleet PROPERTIES FIXTURES_SETUP installed_fleet)
    package_consumer(fleet NEEDS installed_fleet OPTIONS -DCMAKE_PREFIX_PATH=${package_prefix}.fleet)
    set_tests_properties(package/install_fleet package/fleet PROPERTIES LABELS fleet_more)
elseif(Boost_VERSION AND Boost_VERSION VERSION_LESS 1.91)
    package_consumer(fleet_old_boost SOURCE ${PROJECT_SOURCE_DIR}
        OPTIONS -DASIO_SEMAPHORE_FLEET=ON -DASIO_SEMAPHORE_BUILD_TESTS=OFF -DASIO_SEMAPHORE_BUILD_EXAMPLES=OFF
        ARGUMENTS "-Drefuses=ASIO_SEMAPHORE_FLEET needs Boost 1.91 or newer")
endif()

package_consumer(add_subdirectory)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux") # the server's clients have several addresses of the loopback interface
    package_consumer(copied_server)
endif()
package_consumer(fetch_content)
package_consumer(boost_in_parent ARGUMENTS "-Dsays=asio_semaphore is not installed: Boost is built along with it")
package_consumer(dependent ARGUMENTS -Dconfigures_only=ON)

# package_vcpkg_port(<name> <feature>...): tests the port, which installs into <name>/packages/asio-semaphore
function(package_vcpkg_port name)
    list(JOIN ARGN "|" features)
    package_test(${name} COMMAND ${CMAKE_COMMAND}
        -Dport=${PROJECT_SOURCE_DIR}/packaging/vcpkg/asio-semaphore -Dbuild=${package_build}/${name} -Dparent=${parent}
        -Dgenerator=${CMAKE_GENERATOR} -Dversion=${PROJECT_VERSION} -Dfeatures=${features}
        "-Ddocuments=${PROJECT_SOURCE_DIR}/README.md|${PROJECT_SOURCE_DIR}/doc/installation.md"
        -P ${package_source}/vcpkg_port.cmake)
    set_tests_properties(package/${name} PROPERTIES FIXTURES_SETUP ${name})
endfunction()
package_vcpkg_port(vcpkg_port)
package_consumer(vcpkg_consumer SOURCE ${package_source}/find_package NEEDS vcpkg_port
    OPTIONS -DCMAKE_PREFIX_PATH=${package_build}/vcpkg_port/packages/asio-semaphore
        -DEXPECTED_DIR=${package_build}/vcpkg_port/packages/asio-semaphore/share
    ARGUMENTS -Dconfigures_only=ON)
if(ASIO_SEMAPHORE_FLEET)
    package_vcpkg_port(vcpkg_port_fleet fleet)
    package_consumer(vcpkg_consumer_fleet SOURCE ${package_source}/fleet NEEDS vcpkg_port_fleet
        OPTIONS -DCMAKE_PREFIX_PATH=${package_build}/vcpkg_port_fleet/packages/asio-semaphore
        ARGUMENTS -Dconfigures_only=ON)
    set_tests_properties(package/vcpkg_port_fleet package/vcpkg_consumer_fleet PROPERTIES LABELS fleet_more)
endif()
find_program(ASIO_SEMAPHORE_PYTHON python3)
if(ASIO_SEMAPHORE_PYTHON)
    package_test(conan_recipe COMMAND ${ASIO_SEMAPHORE_PYTHON} ${package_source}/conan_recipe.py
        ${PROJECT_SOURCE_DIR}/packaging/conan/conanfile.py ${package_build}/conan ${CMAKE_GENERATOR} ${parent}
        ${PROJECT_VERSION})
    if(ASIO_SEMAPHORE_FLEET)
        package_test(conan_recipe_fleet COMMAND ${ASIO_SEMAPHORE_PYTHON} ${package_source}/conan_recipe.py
            ${PROJECT_SOURCE_DIR}/packaging/conan/conanfile.py ${package_build}/conan_fleet ${CMAKE_GENERATOR} ${parent}
            ${PROJECT_VERSION} fleet)
        set_tests_properties(package/conan_recipe_fleet PROPERTIES LABELS fleet_more)
    endif()
else()
    message(STATUS "Test package/conan_recipe: not there, python3 was not found")
endif()

get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT multi_config)
    package_test(build_type COMMAND ${CMAKE_COMMAND}
        -Dsource=${PROJECT_SOURCE_DIR} -Dconsumer=${package_source}/add_subdirectory -Dbuild=${package_build}/build_type
        -Dparent=${parent} -Dgenerator=${CMAKE_GENERATOR} -P ${package_source}/build_type.cmake)
endif()

package_test(presets COMMAND ${CMAKE_COMMAND} -Dsource=${PROJECT_SOURCE_DIR} -P ${package_source}/presets.cmake)

package_test(version COMMAND ${CMAKE_COMMAND}
    -Dsource=${PROJECT_SOURCE_DIR} -Dversion=${PROJECT_VERSION} -P ${package_source}/version.cmake)

package_test(include_rules COMMAND ${CMAKE_COMMAND}
    -Dsource=${PROJECT_SOURCE_DIR} "-Dlisted=${headers_joined}|${bodies_joined}|${fleet_headers_joined}|${fleet_bodies_joined}"
    -P ${package_source}/include_rules.cmake)

package_test(boost_parts COMMAND ${CMAKE_COMMAND} -Dsource=${PROJECT_SOURCE_DIR} -P ${package_source}/boost_parts.cmake)

package_test(qualified_calls COMMAND ${CMAKE_COMMAND} -Dsource=${PROJECT_SOURCE_DIR} -P ${package_source}/qualified_calls.cmake)

# These tests call the compiler directly, with the flags of the header-only target and of our own programs.
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang" AND NOT CMAKE_CXX_COMPILER_FRONTEND_VARIANT STREQUAL "MSVC")
    get_target_property(boost_include ${first} INTERFACE_INCLUDE_DIRECTORIES)
    set(flags -I${PROJECT_SOURCE_DIR}/include -DASIO_SEMAPHORE_HEADER_ONLY ${warnings})
    if(NOT boost_include IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
        list(APPEND flags -isystem ${boost_include})
    endif()
    list(JOIN flags "|" flags_joined)

    foreach(standard IN ITEMS 17 20 23)
        string(REPLACE 23 2b spelling ${standard})
        package_test(headers_cxx${standard} COMMAND ${CMAKE_COMMAND}
            -Dcompiler=${CMAKE_CXX_COMPILER} "-Dflags=-std=c++${spelling}|${flags_joined}" -Dheaders=${headers_joined}
            -Ddirectory=${package_build}/headers_cxx${standard} -P ${package_source}/headers.cmake)
    endforeach()

    file(GLOB accepted CONFIGURE_DEPENDS ${package_source}/accepted/*.cpp)
    foreach(file IN LISTS accepted)
        cmake_path(GET file STEM name)
        package_test(accepted/${name} COMMAND ${CMAKE_CXX_COMPILER} -std=c++17 ${flags} -fsyntax-only ${file})
    endforeach()
    file(GLOB misuses CONFIGURE_DEPENDS ${package_source}/misuse/*.cpp)
    list(JOIN misuses "|" misuses_joined)
    package_test(misuse/none COMMAND ${CMAKE_COMMAND}
        -Dfiles=${misuses_joined} -Dcompiler=${CMAKE_CXX_COMPILER} "-Dflags=-std=c++17|${flags_joined}"
        -Ddirectory=${package_build}/misuse -P ${package_source}/misuse.cmake)
    foreach(file IN LISTS misuses)
        cmake_path(GET file STEM name)
        # In C++20, concepts report some mistakes in a handler, so the error message is another one.
        set(standards 17)
        if(name MATCHES "handler")
            set(standards 17 20)
        endif()
        foreach(standard IN LISTS standards)
            package_test(misuse/${name}_cxx${standard} COMMAND ${CMAKE_COMMAND}
                -Dfile=${file} -Dcompiler=${CMAKE_CXX_COMPILER} "-Dflags=-std=c++${standard}|${flags_joined}"
                -P ${package_source}/misuse.cmake)
        endforeach()
    endforeach()
endif()

# The whole program, including Asio, has to be compiled with handler tracking. So it does not link asio_once.
add_executable(test_package_handler_tracking ${package_source}/handler_tracking.cpp)
target_link_libraries(test_package_handler_tracking PRIVATE asio_semaphore::asio_semaphore)
target_compile_definitions(test_package_handler_tracking PRIVATE BOOST_ASIO_ENABLE_HANDLER_TRACKING)
target_compile_options(test_package_handler_tracking PRIVATE ${warnings})
package_test(handler_tracking COMMAND ${CMAKE_COMMAND}
    -Dprogram=$<TARGET_FILE:test_package_handler_tracking> -P ${package_source}/handler_tracking.cmake)

find_program(ASIO_SEMAPHORE_GDB gdb)
find_program(ASIO_SEMAPHORE_LLDB NAMES lldb lldb-14)
if((ASIO_SEMAPHORE_GDB OR ASIO_SEMAPHORE_LLDB) AND ASIO_SEMAPHORE_DEVELOPMENT_STANDARD GREATER_EQUAL 20)
    add_executable(test_package_debuggers ${package_source}/debuggers/waiting.cpp)
    target_link_libraries(test_package_debuggers PRIVATE asio_semaphore_development)
    target_compile_options(test_package_debuggers PRIVATE -g -O0)
endif()
if(ASIO_SEMAPHORE_GDB AND TARGET test_package_debuggers)
    package_test(gdb COMMAND ${CMAKE_COMMAND}
        -Dgdb=${ASIO_SEMAPHORE_GDB} -Dprogram=$<TARGET_FILE:test_package_debuggers>
        -Dprinters=${PROJECT_SOURCE_DIR}/tools/gdb/asio_semaphore.py -P ${package_source}/gdb.cmake)
    set_tests_properties(package/gdb PROPERTIES SKIP_REGULAR_EXPRESSION "gdb cannot run the program here")
else()
    message(STATUS "Test package/gdb: not there, gdb was not found or coroutines are off")
endif()
if(ASIO_SEMAPHORE_LLDB AND TARGET test_package_debuggers)
    package_test(lldb COMMAND ${CMAKE_COMMAND}
        -Dlldb=${ASIO_SEMAPHORE_LLDB} -Dprogram=$<TARGET_FILE:test_package_debuggers>
        -Dsummaries=${PROJECT_SOURCE_DIR}/tools/lldb/asio_semaphore.py -P ${package_source}/lldb.cmake)
    set_tests_properties(package/lldb PROPERTIES SKIP_REGULAR_EXPRESSION "lldb cannot run the program here")
else()
    message(STATUS "Test package/lldb: not there, lldb was not found or coroutines are off")
endif()

# Other programs have to be able to parse the metrics. Those of the fleet need neither the fleet's Boost nor a server.
add_executable(test_package_openmetrics ${package_source}/openmetrics.cpp)
target_link_libraries(test_package_openmetrics PRIVATE asio_semaphore_development)
target_include_directories(test_package_openmetrics PRIVATE ${PROJECT_SOURCE_DIR}/test)
find_program(ASIO_SEMAPHORE_PROMTOOL promtool)
set(readable OFF)
if(ASIO_SEMAPHORE_PYTHON)
    execute_process(COMMAND ${ASIO_SEMAPHORE_PYTHON} -c "import prometheus_client.openmetrics.parser"
        RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
    if(NOT failed)
        set(readable ON)
    endif()
endif()
if(readable)
    package_test(openmetrics_reader COMMAND ${ASIO_SEMAPHORE_PYTHON} ${package_source}/openmetrics.py
        $<TARGET_FILE:test_package_openmetrics>)
else()
    message(STATUS "Test package/openmetrics_reader: not there, Python's prometheus_client was not found")
endif()
if(ASIO_SEMAPHORE_PYTHON AND ASIO_SEMAPHORE_PROMTOOL)
    package_test(openmetrics_promtool COMMAND ${ASIO_SEMAPHORE_PYTHON} ${package_source}/openmetrics.py
        $<TARGET_FILE:test_package_openmetrics> ${ASIO_SEMAPHORE_PROMTOOL})
else()
    message(STATUS "Test package/openmetrics_promtool: not there, promtool was not found")
endif()
