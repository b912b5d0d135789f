# Finds or fetches ggml, and builds it as static libraries.
#
# The pin is third_party/ggml-requirements.txt: a source distribution on the Python package index that carries llama.cpp's
# own tree, and so ggml's, unchanged, with its hash. The build takes ggml from the first of these:
#
#   1. -DOMNIGGML_GGML_DIR=<dir>   a ggml tree, or a llama.cpp checkout; whatever version it has
#   2. third_party/llama.cpp/      carried by our own source distribution, so that one builds offline
#   3. the cache                   where an earlier build left the pinned tree
#   4. pip download                checked against the pinned hash, then kept in the cache
#
# Of llama.cpp's tree what its library is built from is kept: the table of Unicode's classes that text is split by lies
# there, and examples/llama-cpp-voice links the library. The cache also keeps its converter, which a test compares ours with.
#
# Sets OMNIGGML_GGML_SOURCE_DIR and OMNIGGML_GGML_VERSION. Nothing of ggml is installed: see omniggml_add_ggml().

set(OMNIGGML_GGML_DIR "" CACHE PATH "A ggml tree or llama.cpp checkout to build against instead of the pinned ggml")
set(OMNIGGML_CACHE_DIR "" CACHE PATH "Where the pinned ggml is kept between builds (default: the user's cache directory)")

set(_ggml_pin_file "${CMAKE_CURRENT_LIST_DIR}/ggml-requirements.txt")
set(_ggml_carried_dir "${CMAKE_CURRENT_LIST_DIR}/llama.cpp")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${_ggml_pin_file}")

# The version of the ggml tree at dir, or "" where dir is no ggml tree.
function(_ggml_read_version dir out)
    set(version "")
    if(EXISTS "${dir}/CMakeLists.txt" AND EXISTS "${dir}/include/ggml.h")
        file(STRINGS "${dir}/CMakeLists.txt" lines REGEX "^set\\(GGML_VERSION_(MAJOR|MINOR|PATCH) [0-9]+\\)")
        string(REGEX REPLACE "[^0-9;]" "" numbers "${lines}")
        list(JOIN numbers "." version)
        if(version STREQUAL "")
            set(version "unknown")
        endif()
    endif()
    set(${out} "${version}" PARENT_SCOPE)
endfunction()

function(_ggml_read_pin)
    file(STRINGS "${_ggml_pin_file}" line REGEX "^[a-z]")
    if(NOT line MATCHES "^([a-z-]+)==([0-9.]+) --hash=sha256:([0-9a-f]+)$")
        message(FATAL_ERROR "${_ggml_pin_file} should hold one line, NAME==VERSION --hash=sha256:DIGEST, but holds: ${line}")
    endif()
    set(_pin_name "${CMAKE_MATCH_1}" PARENT_SCOPE)
    set(_pin_version "${CMAKE_MATCH_2}" PARENT_SCOPE)
    set(_pin_sha256 "${CMAKE_MATCH_3}" PARENT_SCOPE)
endfunction()

function(_ggml_cache_root out)
    if(OMNIGGML_CACHE_DIR)
        set(root "${OMNIGGML_CACHE_DIR}")
    elseif(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
        set(root "$ENV{XDG_CACHE_HOME}/omniggml")
    elseif(WIN32 AND NOT "$ENV{LOCALAPPDATA}" STREQUAL "")
        set(root "$ENV{LOCALAPPDATA}/omniggml/cache")
    elseif(NOT "$ENV{HOME}" STREQUAL "")
        set(root "$ENV{HOME}/.cache/omniggml")
    else()
        set(root "${CMAKE_BINARY_DIR}/cache")
    endif()
    file(TO_CMAKE_PATH "${root}" root)
    execute_process(COMMAND "${CMAKE_COMMAND}" -E make_directory "${root}" RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
    if(failed)
        message(STATUS "The cache directory ${root} cannot be written; keeping ggml in the build directory")
        set(root "${CMAKE_BINARY_DIR}/cache")
        file(MAKE_DIRECTORY "${root}")
    endif()
    set(${out} "${root}" PARENT_SCOPE)
endfunction()

# Downloads the pinned source distribution with pip and leaves its llama.cpp tree at dir.
function(_ggml_download dir)
    set(advice "pass -DOMNIGGML_GGML_DIR=<a ggml or llama.cpp tree> (for pip: CMAKE_ARGS=-DOMNIGGML_GGML_DIR=...)")
    find_package(Python 3.10 COMPONENTS Interpreter REQUIRED)
    execute_process(COMMAND "${Python_EXECUTABLE}" -m pip --version RESULT_VARIABLE no_pip OUTPUT_QUIET ERROR_QUIET)
    if(no_pip)
        message(FATAL_ERROR "ggml is fetched with pip, and ${Python_EXECUTABLE} has none: install pip, or ${advice}.")
    endif()

    # Everything happens in a directory of its own, and one rename at the end publishes it: builds side by side can't meet.
    get_filename_component(root "${dir}" DIRECTORY)
    string(RANDOM LENGTH 12 nonce)
    set(work "${root}/.fetch-${nonce}")
    file(MAKE_DIRECTORY "${work}")

    foreach(attempt RANGE 1 2)
        message(STATUS "Fetching ggml: pip download ${_pin_name}==${_pin_version} (attempt ${attempt})")
        execute_process(
            COMMAND "${Python_EXECUTABLE}" -m pip download --quiet --no-input --disable-pip-version-check
                    --no-deps --no-binary :all: --require-hashes --no-build-isolation
                    --requirement "${_ggml_pin_file}" --dest "${work}/download"
            RESULT_VARIABLE failed OUTPUT_VARIABLE log ERROR_VARIABLE log)
        if(NOT failed)
            break()
        endif()
    endforeach()
    file(GLOB archive "${work}/download/*.tar.gz")
    if(failed OR NOT archive)
        file(REMOVE_RECURSE "${work}")
        message(FATAL_ERROR
            "ggml could not be downloaded (pip's own words are below): check the network and build again, or ${advice}.\n${log}")
    endif()
    file(SHA256 "${archive}" sha256)
    if(NOT sha256 STREQUAL _pin_sha256)
        file(REMOVE_RECURSE "${work}")
        message(FATAL_ERROR "The downloaded ${_pin_name} ${_pin_version} has sha256 ${sha256}, but the pin says ${_pin_sha256}: "
            "something between here and the package index changed the file; don't use it.")
    endif()

    file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${work}"
         PATTERNS "*/vendor/llama.cpp/ggml/*" "*/vendor/llama.cpp/src/*" "*/vendor/llama.cpp/include/*"
                  "*/vendor/llama.cpp/cmake/*" "*/vendor/llama.cpp/vendor/*" "*/vendor/llama.cpp/CMakeLists.txt"
                  "*/vendor/llama.cpp/LICENSE" "*/vendor/llama.cpp/convert_hf_to_gguf.py"
                  "*/vendor/llama.cpp/conversion/*" "*/vendor/llama.cpp/gguf-py/*")
    file(GLOB vendored "${work}/*/vendor/llama.cpp")
    _ggml_read_version("${vendored}/ggml" version)
    if(NOT version)
        file(REMOVE_RECURSE "${work}")
        message(FATAL_ERROR "${_pin_name} ${_pin_version} holds no vendor/llama.cpp/ggml: the pin in ${_ggml_pin_file} is wrong.")
    endif()
    file(WRITE "${vendored}/PIN" "${_pin_sha256}\n")
    file(RENAME "${vendored}" "${dir}" RESULT failed)
    file(REMOVE_RECURSE "${work}")
    if(failed AND NOT EXISTS "${dir}/PIN")
        message(FATAL_ERROR "ggml was fetched but could not be moved to ${dir}: ${failed}")
    endif()
endfunction()

# Leaves the directory of the pinned llama.cpp, fetched if need be, in out.
function(_ggml_pinned_dir out)
    _ggml_read_pin()
    string(SUBSTRING "${_pin_sha256}" 0 12 short)
    _ggml_cache_root(root)
    set(dir "${root}/llama.cpp-${short}")
    if(NOT EXISTS "${dir}/PIN")
        _ggml_download("${dir}")
    endif()
    set(${out} "${dir}" PARENT_SCOPE)
endfunction()

# Copies the pinned tree to third_party/llama.cpp, for our own source distribution.
function(omniggml_carry_ggml)
    _ggml_read_pin()
    if(EXISTS "${_ggml_carried_dir}/PIN")
        file(STRINGS "${_ggml_carried_dir}/PIN" carried)
        if(carried STREQUAL _pin_sha256)
            return()
        endif()
        file(REMOVE_RECURSE "${_ggml_carried_dir}")
    endif()
    _ggml_pinned_dir(dir)
    file(COPY "${dir}/" DESTINATION "${_ggml_carried_dir}"
         REGEX "/(convert_hf_to_gguf\\.py|conversion|gguf-py)$" EXCLUDE)
endfunction()

# The pinned llama.cpp, carried or fetched, and where it comes from.
function(omniggml_pinned_llama_cpp out origin)
    _ggml_read_pin()
    set(${origin} "the pin" PARENT_SCOPE)
    if(EXISTS "${_ggml_carried_dir}/PIN")
        file(STRINGS "${_ggml_carried_dir}/PIN" carried)
        if(carried STREQUAL _pin_sha256)
            set(${out} "${_ggml_carried_dir}" PARENT_SCOPE)
            set(${origin} "third_party/llama.cpp" PARENT_SCOPE)
            return()
        endif()
        message(STATUS "third_party/llama.cpp is not the pinned one any more; not using it")
    endif()
    _ggml_pinned_dir(dir)
    set(${out} "${dir}" PARENT_SCOPE)
endfunction()

# llama.cpp's table of Unicode's classes: beside the ggml that is built against, else the pinned one's.
function(omniggml_unicode_data out)
    get_filename_component(file "${OMNIGGML_GGML_SOURCE_DIR}/../src/unicode-data.cpp" ABSOLUTE)
    if(NOT EXISTS "${file}")
        omniggml_pinned_llama_cpp(dir origin)
        set(file "${dir}/src/unicode-data.cpp")
    endif()
    set(${out} "${file}" PARENT_SCOPE)
endfunction()

function(_ggml_locate)
    if(OMNIGGML_GGML_DIR)
        foreach(candidate "${OMNIGGML_GGML_DIR}" "${OMNIGGML_GGML_DIR}/ggml")
            get_filename_component(dir "${candidate}" ABSOLUTE BASE_DIR "${CMAKE_SOURCE_DIR}")
            _ggml_read_version("${dir}" version)
            if(version)
                set(origin "OMNIGGML_GGML_DIR")
                break()
            endif()
        endforeach()
        if(NOT version)
            message(FATAL_ERROR "OMNIGGML_GGML_DIR is ${OMNIGGML_GGML_DIR}, but neither that nor its ggml/ holds CMakeLists.txt and "
                "include/ggml.h: give a ggml tree or a llama.cpp checkout.")
        endif()
    else()
        omniggml_pinned_llama_cpp(dir origin)
        set(dir "${dir}/ggml")
        _ggml_read_version("${dir}" version)
    endif()
    message(STATUS "ggml ${version} from ${origin}: ${dir}")
    set(OMNIGGML_GGML_SOURCE_DIR "${dir}" PARENT_SCOPE)
    set(OMNIGGML_GGML_VERSION "${version}" PARENT_SCOPE)
endfunction()

# Adds ggml's targets: static, position independent, nothing exported, nothing installed. Every GGML_* option can be set from
# outside (CMAKE_ARGS="-DGGML_CUDA=ON"); the ones below are only defaults.
macro(omniggml_add_ggml)
    _ggml_locate()

    set(BUILD_SHARED_LIBS OFF)
    set(CMAKE_POSITION_INDEPENDENT_CODE ON)
    set(CMAKE_C_VISIBILITY_PRESET hidden)
    # An assertion of ggml is thrown as an exception, which has to pass through its C functions (csrc/core/ggml_abort.h).
    add_compile_options($<$<COMPILE_LANG_AND_ID:C,GNU,Clang,AppleClang>:-fexceptions>)
    set(CMAKE_CXX_VISIBILITY_PRESET hidden)
    set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

    set(GGML_LLAMAFILE ON CACHE BOOL "ggml: use LLAMAFILE")
    set(GGML_ALL_WARNINGS OFF CACHE BOOL "ggml: enable all compiler warnings")
    # As llama.cpp does, and ggml alone doesn't: our graphs are built once and computed many times at the same addresses.
    set(GGML_CUDA_GRAPHS ON CACHE BOOL "ggml: use CUDA graphs")
    # The one pair of types that we give to its attention, of four that take their time to compile.
    set(GGML_CUDA_FA_QUANTS "f16-f16" CACHE STRING "ggml: FlashAttention K-V type combinations to compile")
    set(GGML_BUILD_TESTS OFF CACHE BOOL "ggml: build tests")
    set(GGML_BUILD_EXAMPLES OFF CACHE BOOL "ggml: build examples")
    # Native unless somebody else's CPU is meant. Always said: by itself ggml asks the environment (SOURCE_DATE_EPOCH).
    if(OMNIGGML_PORTABLE OR CMAKE_CROSSCOMPILING)
        set(GGML_NATIVE OFF CACHE BOOL "ggml: optimize the build for the current system")
        # x86-64 from 2013 on (Haswell, Zen); on arm64 what every CPU has. Our own kernels choose at run time.
        foreach(_instructions SSE42 AVX AVX2 BMI2 FMA F16C)
            set(GGML_${_instructions} ON CACHE BOOL "ggml: enable ${_instructions}")
        endforeach()
    else()
        set(GGML_NATIVE ON CACHE BOOL "ggml: optimize the build for the current system")
    endif()
    # OFF: no OpenMP library; see omniggml_give_ggml_threads().
    set(GGML_OPENMP OFF CACHE BOOL "ggml: use OpenMP" FORCE)
    if(NOT DEFINED GGML_CCACHE)
        find_program(OMNIGGML_CCACHE NAMES ccache sccache)
        mark_as_advanced(OMNIGGML_CCACHE)
        if(OMNIGGML_CCACHE)
            set(GGML_CCACHE ON CACHE BOOL "ggml: use ccache if available")
        else()
            set(GGML_CCACHE OFF CACHE BOOL "ggml: use ccache if available")
        endif()
    endif()

    # ggml asks git for its commit. Below a tree that isn't ggml's own checkout, git would answer with somebody else's.
    if(NOT OMNIGGML_GGML_DIR)
        set(_ggml_git_ceiling "$ENV{GIT_CEILING_DIRECTORIES}")
        get_filename_component(_ggml_parent "${OMNIGGML_GGML_SOURCE_DIR}" DIRECTORY)
        set(ENV{GIT_CEILING_DIRECTORIES} "${_ggml_parent}")
    endif()
    # EXCLUDE_FROM_ALL also keeps ggml's install rules out of ours: the wheel holds omniggml/ and nothing else.
    add_subdirectory("${OMNIGGML_GGML_SOURCE_DIR}" ggml EXCLUDE_FROM_ALL)
    if(NOT OMNIGGML_GGML_DIR)
        set(ENV{GIT_CEILING_DIRECTORIES} "${_ggml_git_ceiling}")
    endif()
endmacro()

# Lets a file of ours be compiled with ggml's flags: it notes what they need (csrc/kernels/needed_instructions.h).
function(omniggml_note_needed_instructions)
    if(NOT TARGET ggml-cpu)
        return()
    endif()
    target_sources(ggml-cpu PRIVATE "${PROJECT_SOURCE_DIR}/csrc/kernels/needed_instructions.cpp")
    target_include_directories(ggml-cpu BEFORE PRIVATE "${PROJECT_SOURCE_DIR}/csrc")
endfunction()

# Lets ggml's CPU backend compute on the threads of csrc/threads: its OpenMP pragmas are compiled, and what they call is ours.
function(omniggml_give_ggml_threads)
    if(GGML_OPENMP OR NOT TARGET ggml-cpu)
        return()
    endif()
    if(CMAKE_CXX_COMPILER_ID STREQUAL "AppleClang")
        set(flag "SHELL:-Xclang -fopenmp")
    elseif(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
        set(flag "-fopenmp")
    else()
        message(FATAL_ERROR "${CMAKE_CXX_COMPILER_ID} compiles no OpenMP pragmas that omniggml knows: use GCC or Clang")
    endif()
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/csrc/threads/*.cpp")
    target_sources(ggml-cpu PRIVATE ${sources})
    target_include_directories(ggml-cpu BEFORE PRIVATE "${PROJECT_SOURCE_DIR}/csrc/threads/openmp" "${PROJECT_SOURCE_DIR}/csrc")
    target_compile_definitions(ggml-cpu PRIVATE GGML_USE_OPENMP)
    target_compile_options(ggml-cpu PRIVATE "${flag}")
endfunction()
