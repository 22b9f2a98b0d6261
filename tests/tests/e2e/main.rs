//! The whole of it: the real server, and real browsers with microphones that play signals.
//!
//! What needs a browser is in the module `browser`, whose tests run one at a time.

mod admin;
mod admission;
mod browser;
mod config;
mod control;
mod events;
mod flights;
mod hosts;
mod http;
mod media_tcp;
mod socket;
mod tokens;
mod websocket;
