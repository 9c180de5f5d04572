"""Pure rules of the field: no I/O, no Faust, no driver."""
