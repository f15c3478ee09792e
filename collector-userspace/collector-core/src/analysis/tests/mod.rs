//! Behaviour of analysis chains: order, faults, limits, and the books that are kept.

mod chain;
mod faults;
mod graphs;
mod limits;
mod support;
