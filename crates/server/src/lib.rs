//! The server around the media: command line, HTTP and WebSocket, and the [`Conference`] that
//! knows who is in which room.
//!
//! Nothing here is on the media path. Sessions, chains and encoders are built here (they may fail
//! and take milliseconds) and handed to the workers whole.

pub mod addresses;
mod admin_api;
pub mod auth;
mod bench;
mod capacity;
pub mod chain_info;
pub mod chain_view;
mod chat;
pub mod cli;
mod clock;
mod coming;
pub mod conference;
mod config_api;
pub mod config_file;
mod connect;
mod control;
mod control_api;
mod doctor;
mod drain;
mod events;
mod events_api;
mod flight;
mod groups;
mod happenings;
mod health;
mod hearing;
pub mod http;
mod ice_names;
pub mod ice_servers;
mod limits;
mod live;
mod load;
mod log;
mod manual;
mod media_tcp;
pub mod message;
mod moderation;
pub mod names;
mod new_stage;
mod notify;
mod offline;
mod only_http1;
mod openapi;
pub mod operator;
mod overview;
mod participant_metrics;
mod placement;
mod playing;
mod playing_api;
pub mod plugins;
mod probe;
mod process;
mod recording;
mod recording_api;
pub mod reload;
pub mod report;
mod returning;
mod roster;
mod rtp;
mod sentences;
pub mod serve;
mod tap;
mod tls;
mod token;
mod waiting;
mod watch;
mod webhooks;
mod websocket;
mod whip;

pub use conference::Conference;
