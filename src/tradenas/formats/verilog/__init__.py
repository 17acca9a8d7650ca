"""Networks as Verilog: traced with da4ml, simulated with Verilator, synthesised with yosys, placed with nextpnr."""
