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

# spillway_gpu_program(NAME SOURCE INCLUDES -I FOLDER... LIBRARIES FILE...): those folders come before all others.
function(spillway_gpu_program name source)
  cmake_parse_arguments(program "" "" "INCLUDES;LIBRARIES" ${ARGN})
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.o)
  add_custom_command(OUTPUT ${object}
    COMMAND ${SPILLWAY_NVCC} -std=c++20 -O2 -arch=sm_90 --extended-lambda --expt-relaxed-constexpr -Werror all-warnings
      ${program_INCLUDES} -I ${CMAKE_SOURCE_DIR}/include -MD -MF ${object}.d -c -o ${object} ${CMAKE_CURRENT_SOURCE_DIR}/${source}
    DEPENDS ${source} ${rmm_folder}/packages.txt DEPFILE ${object}.d VERBATIM COMMENT "Compiling over RMM's CCCL ${source}")
  add_executable(${name} EXCLUDE_FROM_ALL ${object})
  # Exceptions pass through librmm.so: there must be one C++ run time, also where others are portable.
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX BUILD_RPATH "$ORIGIN" LINK_OPTIONS "LINKER:--as-needed")
  target_link_libraries(${name} PRIVATE spillway_memory ${program_LIBRARIES} ${cuda_folder}/lib64/libcudart_static.a rt)
  add_dependencies(${name} rmm_packages)
  add_dependencies(rmm_programs ${name})
endfunction()

function(spillway_rmm_program name source)
  if(SPILLWAY_NVCC)
    spillway_gpu_program(${name} ${source} INCLUDES ${rmm_includes} LIBRARIES ${rmm_libraries})
  endif()
endfunction()

# Over RMM's CCCL, but without RMM.
function(spillway_cccl_program name source)
  if(SPILLWAY_NVCC)
    spillway_gpu_program(${name} ${source} INCLUDES ${cccl_includes})
  endif()
endfunction()
