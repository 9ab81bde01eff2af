# Programs over RMM. They are built where nvcc is, by the target rmm_programs only (tools/test asks for it): tools/cccl then
# brings RMM and its CCCL, and no other target sees either, since the toolkit has a CCCL of its own that differs.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(rmm_folder ${CMAKE_SOURCE_DIR}/.cache/cccl)
set(rmm_libraries ${rmm_folder}/librmm/lib64/librmm.so ${rmm_folder}/rapids_logger/lib64/librapids_logger.so)
set(cccl_includes -I ${rmm_folder}/librmm/include/rapids)
set(rmm_includes ${cccl_includes} -I ${rmm_folder}/librmm/include -I ${rmm_folder}/rapids_logger/include)
add_custom_target(rmm_programs)
if(SPILLWAY_NVCC)
  add_custom_command(OUTPUT ${rmm_folder}/packages.txt BYPRODUCTS ${rmm_libraries}
    COMMAND Python3::Interpreter ${CMAKE_SOURCE_DIR}/tools/cccl
    COMMAND ${CMAKE_COMMAND} -E touch ${rmm_folder}/packages.txt
    DEPENDS ${CMAKE_SOURCE_DIR}/tools/cccl COMMENT "Bringing RMM")
  add_custom_target(rmm_packages DEPENDS ${rmm_folder}/packages.txt)
  cmake_path(GET SPILLWAY_NVCC PARENT_PATH cuda_folder)
  cmake_path(GET cuda_folder PARENT_PATH cuda_folder)
endif()

# spillway_nvcc_object(OBJECT SOURCE -I FOLDER...): those folders come before all others.
function(spillway_nvcc_object object source)
  add_custom_command(OUTPUT ${object}
    COMMAND ${SPILLWAY_NVCC} -std=c++20 -O2 -arch=sm_90 --extended-lambda --expt-relaxed-constexpr -Werror all-warnings
      ${ARGN} -I ${CMAKE_SOURCE_DIR}/include -MD -MF ${object}.d -c -o ${object} ${CMAKE_CURRENT_SOURCE_DIR}/${source}
    DEPENDS ${source} ${rmm_folder}/packages.txt DEPFILE ${object}.d VERBATIM COMMENT "Compiling over RMM ${source}")
endfunction()

function(spillway_rmm_program name source)
  if(SPILLWAY_NVCC)
    spillway_nvcc_object(${CMAKE_CURRENT_BINARY_DIR}/${name}.o ${source} ${rmm_includes})
    add_executable(${name} EXCLUDE_FROM_ALL ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
    # Exceptions pass through librmm.so: there must be one C++ run time, also where others are portable.
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX BUILD_RPATH "$ORIGIN" LINK_OPTIONS "LINKER:--as-needed")
    target_link_libraries(${name} PRIVATE spillway_memory ${rmm_libraries} ${cuda_folder}/lib64/libcudart_static.a rt)
    add_dependencies(${name} rmm_packages)
    add_dependencies(rmm_programs ${name})
  endif()
endfunction()

# Compiled over RMM's CCCL, but without RMM.
function(spillway_cccl_object name source)
  if(SPILLWAY_NVCC)
    spillway_nvcc_object(${CMAKE_CURRENT_BINARY_DIR}/${name}.o ${source} ${cccl_includes})
    add_custom_target(${name} DEPENDS ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
    add_dependencies(${name} rmm_packages)
    add_dependencies(rmm_programs ${name})
  endif()
endfunction()
