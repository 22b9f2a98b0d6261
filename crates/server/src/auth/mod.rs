//! Who may come into which room, and how often they may ask.

mod caller;
mod credentials;
mod door;
mod exposure;
mod host;
mod key;
mod origin;
mod per_address;
mod seats;
mod token;

pub(crate) use caller::Caller;
pub(crate) use credentials::{Credentials, bearer};
pub use door::Door;
pub(crate) use door::{Admitted, SharedToken, Wish};
pub(crate) use exposure::check as check_exposure;
pub(crate) use host::AsHost;
pub use key::Key;
pub(crate) use key::random;
pub(crate) use origin::check as check_origin;
pub(crate) use seats::{Seat, Seats};
pub use token::Role;
pub(crate) use token::{Claims, Signer, check_keys, now, sign};
