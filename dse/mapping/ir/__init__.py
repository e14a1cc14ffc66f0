"""What a mapping is: schedules of phases that all fidelities read, and where operands live."""
