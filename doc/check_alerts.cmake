# cmake -Dguide=FILE -Dtests=FILE -Dpromtool=PATH -Doutput=DIR -P check_alerts.cmake
# The alert rules that the guide shows fire, and stay silent, when they should.
file(READ ${guide} text)
string(REGEX MATCH "```yaml\n(.*)\n```\n\n\\| alert" found "${text}")
if(NOT found)
    message(FATAL_ERROR "${guide} has no rules")
endif()
file(WRITE ${output}/alerts.yml "${CMAKE_MATCH_1}\n")
file(COPY ${tests} DESTINATION ${output})
get_filename_component(name ${tests} NAME)
execute_process(COMMAND ${promtool} test rules ${name} WORKING_DIRECTORY ${output} COMMAND_ERROR_IS_FATAL ANY)
