//! Benchmarks over several crates stand in `benches/`; there is nothing to use here.
