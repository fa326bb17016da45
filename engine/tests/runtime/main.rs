//! The runtime against plugins that fail on purpose: whatever fails, whenever, every sink holds every row once.

mod exactly_once;
mod lifecycle;
mod planted_bugs;
mod world;
