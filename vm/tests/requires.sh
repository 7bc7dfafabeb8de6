# The list of the machine's own tests for vm/setup.sh: vm/setup.sh vm/tests/requires.sh tests.
want gdb "a test has it look into a guest" gdb
