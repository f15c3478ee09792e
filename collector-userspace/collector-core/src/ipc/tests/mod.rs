//! Servers and clients on real sockets.

mod conversation;
mod hostile;
mod lifecycle;
mod refused;
mod support;
