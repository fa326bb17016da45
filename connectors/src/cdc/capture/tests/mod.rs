//! The capture over a database in memory.

mod simulation;
mod system;
mod target;
mod world;
