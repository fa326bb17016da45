//! The capture over a database in memory.

mod brought_back;
mod past;
mod rejoin;
mod simulation;
mod system;
mod target;
mod world;
