//! Event sources that poll `/proc`: what is left where the kernel takes no programs.

mod known;
pub(crate) mod poll;
pub(crate) mod scan;
