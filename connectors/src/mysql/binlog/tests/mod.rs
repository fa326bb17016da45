//! What the decoder makes of events that real servers wrote (see [`fixtures`]), and of bytes that nobody wrote.

mod charsets;
mod fixtures;
mod fuzz;
mod fuzz_targets;
mod gtids;
mod headers;
mod recorded;
mod replay;
mod speed;
mod values;
