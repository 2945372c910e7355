//! The container's network.

pub mod request;

pub use request::{Mode, PortMapping, Protocol, Request};
