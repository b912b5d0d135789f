# The C library: csrc/capi over the engine, shared and static, and how others find it.
#
# `cmake --install` puts it below the prefix, the wheel below omniggml/: the same lib/, include/ and files for
# find_package and pkg-config, relative to each other.

file(GLOB _capi_sources CONFIGURE_DEPENDS csrc/capi/*.cpp)
add_library(omniggml_capi OBJECT ${_capi_sources})
target_link_libraries(omniggml_capi PUBLIC omniggml_options)
target_compile_definitions(omniggml_capi PRIVATE OMNI_SHARED OMNI_BUILD)

set(OMNIGGML_INSTALL_DIR ".")
if(SKBUILD)
    set(OMNIGGML_INSTALL_DIR "omniggml")
endif()

# Only omni_* leaves the library: whoever has a ggml of his own doesn't meet ours.
function(omniggml_export_only target map)
    set(path "${CMAKE_CURRENT_SOURCE_DIR}/${map}")
    if(UNIX AND NOT APPLE)
        target_link_options(${target} PRIVATE "LINKER:--version-script=${path}")
        set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${path}")
    endif()
endfunction()

add_library(omniggml SHARED $<TARGET_OBJECTS:omniggml_core> $<TARGET_OBJECTS:omniggml_capi>)
target_link_libraries(omniggml PRIVATE omniggml_options)
target_include_directories(omniggml INTERFACE csrc/capi)
omniggml_export_only(omniggml csrc/capi/exports.map)
# What a source forgot to be compiled with would else be missed by whoever loads the library. Sanitizers come with the
# program.
if(UNIX AND NOT APPLE AND NOT OMNIGGML_SANITIZE)
    target_link_options(omniggml PRIVATE "LINKER:-z,defs")
endif()
# A wheel can't hold the links of a versioned library.
if(NOT SKBUILD)
    string(REGEX MATCH "^[0-9]+\\.[0-9]+" _abi "${OMNIGGML_VERSION}")
    set_target_properties(omniggml PROPERTIES VERSION "${OMNIGGML_VERSION}" SOVERSION "${_abi}")
endif()
install(TARGETS omniggml COMPONENT omniggml
    RUNTIME DESTINATION "${OMNIGGML_INSTALL_DIR}/bin"
    LIBRARY DESTINATION "${OMNIGGML_INSTALL_DIR}/lib"
    ARCHIVE DESTINATION "${OMNIGGML_INSTALL_DIR}/lib")
install(FILES csrc/capi/omniggml.h DESTINATION "${OMNIGGML_INSTALL_DIR}/include" COMPONENT omniggml)

# For a program that has ggml as a target of its own, the same one (OMNIGGML_GGML_DIR): add_subdirectory(omniggml), then
# link omniggml-parts.
add_library(omniggml-parts STATIC EXCLUDE_FROM_ALL $<TARGET_OBJECTS:omniggml_core> $<TARGET_OBJECTS:omniggml_capi>)
target_link_libraries(omniggml-parts PUBLIC ggml Threads::Threads)
target_include_directories(omniggml-parts PUBLIC csrc/capi)

# The static library holds ggml, in one object in which all but omni_* is local: a program may link another ggml beside it.
set(OMNIGGML_STATIC_LIBS stdc++ m pthread dl)
if(GGML_OPENMP)
    list(APPEND OMNIGGML_STATIC_LIBS gomp)
endif()
if(UNIX AND NOT APPLE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_OBJCOPY AND NOT SKBUILD)
    set(_ggml_archives)
    foreach(_part ggml ggml-base ggml-cpu ggml-blas ggml-rpc ggml-vulkan ggml-cuda)
        if(TARGET ${_part})
            list(APPEND _ggml_archives $<TARGET_FILE:${_part}>)
        endif()
    endforeach()
    set(_static "${CMAKE_CURRENT_BINARY_DIR}/libomniggml.a")
    set(_merged "${CMAKE_CURRENT_BINARY_DIR}/omniggml.o")
    add_custom_command(OUTPUT "${_static}"
        COMMAND "${CMAKE_LINKER}" -r --force-group-allocation -o "${_merged}"
                $<TARGET_OBJECTS:omniggml_core> $<TARGET_OBJECTS:omniggml_capi> --start-group ${_ggml_archives} --end-group
        COMMAND "${CMAKE_OBJCOPY}" --wildcard "--keep-global-symbol=omni_*" "${_merged}"
        COMMAND "${CMAKE_COMMAND}" -E rm -f "${_static}"
        COMMAND "${CMAKE_AR}" rcs "${_static}" "${_merged}"
        DEPENDS omniggml_core omniggml_capi ggml $<TARGET_OBJECTS:omniggml_core> $<TARGET_OBJECTS:omniggml_capi>
        COMMAND_EXPAND_LISTS VERBATIM)
    add_custom_target(omniggml-static ALL DEPENDS "${_static}")
    install(FILES "${_static}" DESTINATION "${OMNIGGML_INSTALL_DIR}/lib" COMPONENT omniggml)
endif()

# What find_package and pkg-config read.
include(CMakePackageConfigHelpers)
list(TRANSFORM OMNIGGML_STATIC_LIBS PREPEND "-l" OUTPUT_VARIABLE OMNIGGML_STATIC_FLAGS)
list(JOIN OMNIGGML_STATIC_FLAGS " " OMNIGGML_STATIC_FLAGS)
set(OMNIGGML_LIBRARY_FILE "${CMAKE_SHARED_LIBRARY_PREFIX}omniggml${CMAKE_SHARED_LIBRARY_SUFFIX}")
set(OMNIGGML_LIBRARY_DIR lib)
if(WIN32)
    set(OMNIGGML_LIBRARY_DIR bin)
endif()
configure_file(cmake/omniggmlConfig.cmake.in package/omniggmlConfig.cmake @ONLY)
configure_file(cmake/omniggml.pc.in package/omniggml.pc @ONLY)
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/package/omniggmlConfigVersion.cmake"
    VERSION "${OMNIGGML_VERSION}" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/package/omniggmlConfig.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/package/omniggmlConfigVersion.cmake"
    DESTINATION "${OMNIGGML_INSTALL_DIR}/lib/cmake/omniggml" COMPONENT omniggml)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/package/omniggml.pc"
    DESTINATION "${OMNIGGML_INSTALL_DIR}/lib/pkgconfig" COMPONENT omniggml)
