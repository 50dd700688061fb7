# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# cmake -Dguide=FILE -Dtests=FILE -Dpromtool=PATH -Doutput=DIR -P check_alerts.cmake
# Tests with promtool that the alert rules in the guide fire when they should, and only then.
file(READ ${guide} text)
string(REGEX MATCH "```yaml\n(.*)\n```\n\n\\| alert" found "${text}")
if(NOT found)
    message(FATAL_ERROR "${guide} has no alert rules")
endif()
file(WRITE ${output}/alerts.yml "${CMAKE_MATCH_1}\n")
file(COPY ${tests} DESTINATION ${output})
get_filename_component(name ${tests} NAME)
execute_process(COMMAND ${promtool} test rules ${name} WORKING_DIRECTORY ${output} COMMAND_ERROR_IS_FATAL ANY)
