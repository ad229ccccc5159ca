"""Pure arithmetic on frozen values: no clock, no I/O, no logging. `now` is always an argument."""
